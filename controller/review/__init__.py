"""The review page of a policy: one HTML file for people who decide whether it ships."""
