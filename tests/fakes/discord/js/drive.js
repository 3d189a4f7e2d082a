// Drives the fake Discord with discord.js, a client that nobody here wrote: what it cannot do with the fake, the fake does wrong.
//
//   npm ci && node drive.js PATH/TO/fake-discord
//   node drive.js --list
//
// Promises: one line a step, `ok NAME` or `not ok NAME: why`; the last line is `N passed, N failed`; exit code 1 on any failure; an end
// within the deadline. Waits for events and never sleeps.
// Does not: test discord.js, or our own worker.

import { Client, GatewayIntentBits, Partials } from 'discord.js';
import { Fake, within } from './fake.js';
import { Heard } from './heard.js';
import { messages } from './steps/messages.js';
import { files } from './steps/files.js';
import { threads } from './steps/threads.js';
import { components } from './steps/components.js';
import { commands } from './steps/commands.js';
import { gateway } from './steps/gateway.js';

const STEP_MS = 60_000;
const WHOLE_MS = 300_000;
const STEPS = [...messages, ...files, ...threads, ...components, ...commands, ...gateway];

/** A client as anybody would make it; only the address of the API is the fake's. */
function clientOf(fake) {
  const { Guilds, GuildMessages, GuildMessageReactions, DirectMessages, MessageContent } = GatewayIntentBits;
  return new Client({
    intents: [Guilds, GuildMessages, GuildMessageReactions, DirectMessages, MessageContent],
    partials: [Partials.Channel, Partials.Message, Partials.Reaction],
    rest: { api: fake.api.replace(/\/v10$/, ''), retries: 0 },
  });
}

async function main(binary) {
  const deadline = setTimeout(() => {
    console.log(`the whole was not done within ${WHOLE_MS} ms`);
    process.exit(1);
  }, WHOLE_MS);
  const fake = await Fake.start(binary, ['--heartbeat-ms', '2000']);
  const client = clientOf(fake);
  // A connection that fails is part of some steps; each says itself what must come of it.
  client.on('error', (error) => console.log(`discord.js: ${error.message}`));
  client.on('shardError', () => {});
  const it = { fake, client, heard: new Heard(client) };
  let failed = 0;
  for (const [name, run] of STEPS) {
    try {
      await within(run(it), name, STEP_MS);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}: ${error.stack}`);
    }
  }
  await client.destroy();
  await fake.stop();
  clearTimeout(deadline);
  console.log(`${STEPS.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

const [argument] = process.argv.slice(2);
if (argument === '--list') {
  for (const [name] of STEPS) console.log(name);
} else if (argument) {
  await main(argument);
} else {
  console.error('usage: node drive.js PATH/TO/fake-discord | --list');
  process.exitCode = 64;
}
