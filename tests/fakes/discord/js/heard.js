// What discord.js has told, kept in order, so that a wait that begins late still finds what came before it.

import { Events } from 'discord.js';
import { within } from './fake.js';

const KEPT = [
  Events.ClientReady, Events.MessageCreate, Events.MessageUpdate, Events.MessageDelete, Events.MessageReactionAdd,
  Events.ThreadCreate, Events.ThreadUpdate, Events.InteractionCreate, Events.ChannelUpdate, Events.ShardReady,
  Events.ShardResume, Events.ShardReconnecting, Events.Raw,
];

/** A ledger of a client's events. */
export class Heard {
  #entries = [];
  #waiting = new Set();

  constructor(client) {
    for (const name of KEPT) {
      client.on(name, (...args) => {
        this.#entries.push({ name, args });
        for (const look of [...this.#waiting]) look();
      });
    }
  }

  /** Where the ledger stands now. */
  mark() {
    return this.#entries.length;
  }

  /** The arguments of the first event of this name from `since` on that fits. */
  async next(name, since, fits = () => true) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const hit = this.#entries.slice(since).find((entry) => entry.name === name && fits(...entry.args));
        if (hit) resolve(hit.args);
      };
      this.#waiting.add(look);
      look();
    });
    try {
      return await within(found, `the event ${name}`);
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** The arguments of every event of this name from `since` on. */
  all(name, since) {
    return this.#entries.slice(since).filter((entry) => entry.name === name).map((entry) => entry.args);
  }
}
