"""What new files begin as, as data files; `handoff policy init` writes one."""
