// Feed an exported machine with recorded events, in the real XState: the state after each event, a JSON line each.
//
// Guards are answered from what was recorded, by name; one that is asked and was not recorded fails the run.
const fs = require('node:fs');
const { createRequire } = require('node:module');

const [modules, configFile, walksFile] = process.argv.slice(2);
const { createMachine, initialTransition, transition } = createRequire(`${modules}/index.js`)('xstate');
const config = JSON.parse(fs.readFileSync(configFile, 'utf8'));

const answer = (event, name) => {
  if (!(name in event.guards)) throw new Error(`${event.type}: guard ${name} was asked and not recorded`);
  return event.guards[name] === true;
};
const names = new Set();
const actions = new Set();
JSON.stringify(config, (key, value) => {
  if (key === 'guard' && typeof value === 'string') names.add(value);
  if (key === 'actions') [value].flat().forEach((one) => actions.add(one));
  return value;
});
const machine = createMachine(config).provide({
  guards: {
    ...Object.fromEntries([...names].map((name) => [name, ({ event }) => answer(event, name)])),
    all: ({ event }, { guards }) => guards.every((name) => answer(event, name)),
  },
  actions: Object.fromEntries([...actions].map((name) => [name, () => {}])),
});

for (const walk of JSON.parse(fs.readFileSync(walksFile, 'utf8'))) {
  let [snapshot] = initialTransition(machine);
  const states = [];
  for (const event of walk.events) {
    let done;
    [snapshot, done] = transition(machine, snapshot, event);
    states.push({ state: snapshot.value, actions: done.map((action) => action.type) });
  }
  console.log(JSON.stringify({ conversation: walk.conversation, states, status: snapshot.status }));
}
