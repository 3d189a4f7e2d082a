// The fake as its users meet it: a process that says one line, and a control surface over HTTP.
//
// Promises: every wait is for an event, by long poll, and ends at its deadline with what was waited for.
// Does not: know anything of discord.js.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How long anything may take before the step that waits for it has failed. */
export const SOON_MS = 20_000;

/** Gives what `promise` gives, or fails at the deadline in words. */
export async function within(promise, what, ms = SOON_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A running fake. */
export class Fake {
  #child;

  /** Starts the binary and reads its facts: api, gateway, control, token, bot, guild, channel, owner. */
  static async start(binary, args) {
    const fake = new Fake();
    fake.#child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const failed = new Promise((_, reject) => {
      fake.#child.once('error', reject);
      fake.#child.once('exit', (code) => reject(new Error(`${binary} ended with ${code}`)));
    });
    failed.catch(() => {});
    const lines = createInterface({ input: fake.#child.stdout });
    const said = new Promise((resolve) => lines.once('line', resolve));
    const line = await within(Promise.race([said, failed]), 'the line of the fake');
    if (!line.startsWith('fake-discord ready ')) throw new Error(`not the line of a fake Discord: ${line}`);
    const facts = line.split(' ').slice(2).map((fact) => [fact.slice(0, fact.indexOf('=')), fact.slice(fact.indexOf('=') + 1)]);
    Object.assign(fake, Object.fromEntries(facts));
    const { scene } = await fake.get('world');
    Object.assign(fake, { scene });
    return fake;
  }

  /** Ends it and waits for its end. */
  async stop() {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.kill('SIGTERM')) await within(gone, 'the end of the fake');
  }

  async get(path) {
    return this.#call(path, { method: 'GET' });
  }

  /** A POST of the control surface, such as `say`. */
  async act(path, body) {
    return this.#call(path, { method: 'POST', body: JSON.stringify(body) });
  }

  async #call(path, request) {
    const response = await fetch(`${this.control}/control/${path}`, { ...request, signal: AbortSignal.timeout(SOON_MS) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${request.method} ${path}: ${response.status} ${answer.error}`);
    return answer;
  }

  /** Alice writes. */
  async says(channel, text, more = {}) {
    return (await this.act('say', { user: this.scene.alice, channel, text, ...more })).message;
  }

  /** Where a ledger (`ledger`: what people saw; `wire`: what bots did) stands now. */
  async mark(ledger) {
    let since = 0;
    for (;;) {
      const page = await this.get(`${ledger}?since=${since}`);
      if (page.entries.length === 0) return since;
      since = page.next;
    }
  }

  /** The first entry of a ledger from `since` on that fits. */
  async until(ledger, since, fits, what) {
    const deadline = Date.now() + SOON_MS;
    for (;;) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not within ${SOON_MS} ms in the ${ledger}: ${what}`);
      const page = await this.get(`${ledger}?since=${since}&wait_ms=${left}`);
      const hit = page.entries.find((entry) => fits(entry.what));
      if (hit) return hit.what;
      since = page.next;
    }
  }

  /** Every entry of a ledger from `since` on that fits. */
  async all(ledger, since, fits) {
    const found = [];
    for (;;) {
      const page = await this.get(`${ledger}?since=${since}`);
      if (page.entries.length === 0) return found;
      found.push(...page.entries.map((entry) => entry.what).filter(fits));
      since = page.next;
    }
  }

  /** What people see of a message now. */
  async shown(channel, message) {
    const lines = await this.get(`transcript?channel=${channel}`);
    return lines.find((line) => line.message === message);
  }
}
