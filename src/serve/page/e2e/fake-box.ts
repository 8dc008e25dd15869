// A box in memory that answers as the real one does to claim, log-in, people and cameras.
//
// Owns: what the page may rely on. Unit tests put it behind `fetch`, browser tests behind the
// network of the page. Passwords and codes are kept as they are: this is a toy.

import type { Account } from '../src/logic/access';

export interface Asked {
  readonly method: string;
  /** Without the leading slash. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: unknown;
}

export interface Answered {
  readonly status: number;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
}

interface Person extends Account {
  readonly password: string;
}

export const CODE = 'ABCD2345';
/** The text of every token. */
export const TOKEN = 'hft_0123456789abcdef';
export const PASSWORD = 'correct horse battery';
/** A JPEG of a test card. */
const PICTURE =
  '/9j/4AAQSkZJRgABAgAAAQABAAD//gAQTGF2YzU5LjM3LjEwMAD/2wBDAAg+Pkk+SVVVVVVVVWRdZGhoaGRkZGRoaGhwcHCDg4NwcHBoaHBwfHyDg4+Tj4eHg4eTk5ubm7q6srLZ2eD/////xACHAAACAwEBAQAAAAAAAAAAAAAABwUGCAQDAgEAAwEBAQEAAAAAAAAAAAAAAAYHCAMFBBAAAgEBBQcFAQEAAAAAAAAAAAECAyGBQVERkaHRMvASE7ExcnEiFDMRAAIBAQYDCAIDAQAAAAAAAAABAgPRgVFBEQShITFhsZEyFBIzE3GyI3LwIv/AABEIACQAQAMBEgACEgADEgD/2gAMAwEAAhEDEQA/AM/gAAA+6UcXcXBLRJHOnHMaEtFofXvK2n8cer834wv7iETl75Sli9cbrhegOAG1wFmA1gZ/A2KBgABqAWYDYBn8CApS0s2FWKbTlkLhft5R9y+xdV5u1Y3dxaGteTNYkfCXdGMvbVJ7RqAggGEBnxoRli93ABTdRrAB6lSisRyHd22YlXIx6ieC42mRSvTox1b5rV9OWl3IU5ZnBLM0gRNbmbyjxtNGkJluprKPG0Ro1vBHN7uBpclMa8nkuNp8ohfbLsHeUOVWUcjKxfFtIPOXirCzk4jWk8l/ryPF/wCWWuHV5Ly/ekhjLxVgjD7GlF4nKdCWpKipuhFZvhYatPDjJs0XR/zh8Y+gs/6JKxKOx8RXO0uRHClfTHF8LDNgHECagOyk/wBfZ40+ZdYHn03/ANfk5Q8yG/eRTpN5xa0veh6G6+Gd37I+wLSA2ALMBrAz+BsUDAADUAswGwDP4EfRVjZ7UuW8rNJcmztS6Xlb30n7oxy01vZ5+++Rf1Xex5gfIAwAf//Z';
const WRONG_MAX = 3;
const RETRY_SECS = 36;
const MINUTES_LOCKED_SECS = 900;

export class FakeBox {
  readonly people = new Map<string, Person>();
  /** Streams in its configuration, as they were put. */
  readonly cameras = new Map<string, unknown>();
  /** What was asked of it about cameras that are tried. */
  readonly tried: unknown[] = [];
  /** What the box answers to other requests of those who may ask. */
  streams: readonly { readonly name: string }[] = [];
  /** Whether it was asked to delete everything. */
  reset = false;
  /** How far its update is; null on a box that has none. */
  update: { readonly state: string; readonly [more: string]: unknown } | null = null;
  /** Who is signed in; the page has one cookie. */
  session: string | null = null;
  tokens: Record<string, unknown>[] = [];
  credentials: Record<string, unknown>[] = [];
  /** The box's own section of the configuration. */
  settings: Record<string, unknown> = { ring: { size: '80%' } };
  asked: Asked[] = [];
  #wrong = 0;
  #etag = 1;

  constructor(public state: 'unclaimed' | 'locked' | 'claimed' | 'open' = 'unclaimed') {}

  /** A claimed box on which `name` is known. */
  static claimed(name = 'ada', role: Account['role'] = 'admin', more: Partial<Account> = {}) {
    const box = new FakeBox('claimed');
    const person = { name, role, streams: '*' as const, past: true, password: PASSWORD, ...more };
    box.people.set(name, person);
    return box;
  }

  answer(asked: Asked): Answered {
    this.asked.push(asked);
    const { method, path } = asked;
    if (method !== 'GET' && asked.headers.get('x-holdfast-csrf') !== '1')
      return refusal(403, 'csrf', 'The header of the page is missing.');
    if (path === 'api/v1/claim') return method === 'GET' ? this.#claimState() : this.#claim(asked);
    if (path === 'api/v1/preview') return refusal(403, 'preview_over', 'The preview is over.');
    if (path === 'ca.pem') return { status: 200, json: 'PEM' };
    if (this.state === 'unclaimed' || this.state === 'locked')
      return refusal(403, 'unclaimed', 'Nobody has claimed this box yet.');
    if (path === 'api/v1/session' && method === 'POST') return this.#signIn(asked);
    const who = this.session === null ? undefined : this.people.get(this.session);
    if (path.startsWith('api/v1/session') && who === undefined) return SIGNED_OUT;
    if (this.state === 'claimed' && who === undefined) return SIGNED_OUT;
    return this.#inside(asked, who);
  }

  #inside(asked: Asked, who: Person | undefined): Answered {
    const { method, path } = asked;
    const [, , kind, name] = path.split('/').map(decodeURIComponent);
    if (path === 'api/v1/session' && who !== undefined) {
      if (method === 'GET') return { status: 200, json: shown(who) };
      this.session = null;
      return { status: 204 };
    }
    if (path === 'api/v1/session/password' && who !== undefined) return this.#password(asked, who);
    if (path === 'api/v1/streams' && method === 'GET') {
      const seen = this.streams.filter(
        ({ name }) => who === undefined || who.streams === '*' || who.streams.includes(name),
      );
      return { status: 200, json: { streams: seen } };
    }
    if (path === 'api/v1/health') return { status: 200, json: HEALTH[who?.role ?? 'admin'] };
    if (path === 'api/v1/exports' && who?.role !== 'viewer')
      return { status: 200, json: { exports: [] } };
    if (who !== undefined && who.role !== 'admin')
      return refusal(403, 'forbidden', 'Your account has no right to this.');
    if (kind === 'accounts') return this.#accounts(asked, name);
    if (kind === 'tokens') return this.#tokens(asked, name);
    if (kind === 'update') return this.#update(method, name);
    if (kind === 'system') return this.#system(asked);
    if (kind === 'credentials') return this.#credentials(asked, name);
    if (path === 'api/v1/config/settings')
      return { status: 200, json: this.settings, headers: { etag: this.#tag() } };
    if (path === 'api/v1/config') return { status: 200, json: {}, headers: { etag: this.#tag() } };
    if (path === 'api/v1/streams/try') return this.#try(asked);
    if (path.startsWith('api/v1/config/streams/')) return this.#camera(asked);
    return refusal(404, 'not_found', 'There is nothing here.');
  }

  #update(method: string, step: string | undefined): Answered {
    const running = { version: '0.1.0', slot: 'A', on_trial: false };
    if (this.update === null)
      return refusal(501, 'updates_unsupported', 'This system is not updated by images.');
    if (method === 'DELETE') this.update = { state: 'none' };
    else if (method === 'POST' && step === 'install')
      this.update = { ...this.update, state: 'installing', percent: 40 };
    else if (method === 'POST') this.update = { state: 'ready', version: '0.2.0' };
    return { status: method === 'DELETE' ? 204 : 200, json: { running, ...this.update } };
  }

  /** One that runs an image, if it is updated by images. */
  #system({ method, body }: Asked): Answered {
    const host = 'holdfast-1a2b';
    if (method === 'GET') return { status: 200, json: { host, can_reset: this.update !== null } };
    if ((body as { host?: string }).host !== host)
      return refusal(
        422,
        'wrong_name',
        `To delete everything on this box, send its name: ${host}.`,
      );
    this.reset = true;
    return { status: 202, json: {} };
  }

  #claimState(): Answered {
    const locked = this.state === 'locked' ? { retry_after: MINUTES_LOCKED_SECS } : {};
    return { status: 200, json: { state: this.state, ...locked } };
  }

  #claim({ body }: Asked): Answered {
    const { code, name, password } = body as Record<string, string>;
    if (this.state === 'claimed')
      return refusal(409, 'claimed', 'This box has been claimed already.');
    if (this.state === 'open')
      return refusal(409, 'open', 'Take `claim` out of the configuration to claim this box.');
    if (this.state === 'locked') return this.#locked();
    if (code !== CODE) {
      this.#wrong += 1;
      if (this.#wrong >= WRONG_MAX) this.state = 'locked';
      return this.state === 'locked'
        ? this.#locked()
        : refusal(403, 'wrong_code', 'This is not the claim code.');
    }
    if (isWeak(password, name)) return WEAK;
    this.#add({ name: name ?? '', role: 'admin', streams: '*', past: true }, password ?? '');
    this.state = 'claimed';
    this.session = name ?? null;
    return { status: 201, json: shown(this.people.get(name ?? '') as Person) };
  }

  #locked(): Answered {
    const words = 'Too many wrong codes. Wait a quarter of an hour, or press the button.';
    return refusal(429, 'claim_locked', words, { retry_after: MINUTES_LOCKED_SECS });
  }

  #signIn({ body }: Asked): Answered {
    const { name, password } = body as Record<string, string>;
    if (this.#wrong >= WRONG_MAX)
      return refusal(429, 'slow_down', 'Too many attempts.', { retry_after: RETRY_SECS });
    const person = this.people.get(name ?? '');
    if (person === undefined || person.password !== password) {
      this.#wrong += 1;
      return refusal(401, 'wrong_password', 'Name or password is wrong.');
    }
    this.#wrong = 0;
    this.session = person.name;
    return { status: 200, json: shown(person) };
  }

  #password({ body }: Asked, who: Person): Answered {
    const { old, new: after = '' } = body as Record<string, string>;
    if (old !== who.password)
      return refusal(403, 'wrong_password', 'The present password is wrong.');
    if (isWeak(after, who.name)) return WEAK;
    this.people.set(who.name, { ...who, password: after });
    return { status: 204 };
  }

  #accounts({ method, body }: Asked, name: string | undefined): Answered {
    const { password, ...wanted } = (body ?? {}) as Partial<Person>;
    if (method === 'GET')
      return { status: 200, json: { accounts: [...this.people.values()].map(shown) } };
    if (method === 'POST') {
      if (isWeak(password, wanted.name)) return WEAK;
      if (this.people.has(wanted.name ?? ''))
        return refusal(409, 'account_exists', 'There is an account of this name already.');
      this.#add(wanted as Account, password ?? '');
      return { status: 201, json: wanted };
    }
    if (password !== undefined && isWeak(password, name)) return WEAK;
    const person = this.people.get(name ?? '');
    if (person === undefined) return refusal(404, 'not_found', 'There is no such account.');
    const admins = [...this.people.values()].filter(({ role }) => role === 'admin');
    const last = admins.length === 1 && person.role === 'admin';
    if (last && (method === 'DELETE' || (wanted.role ?? 'admin') !== 'admin'))
      return refusal(409, 'last_admin', 'The last admin cannot be removed.');
    if (method === 'DELETE') this.people.delete(person.name);
    else this.#add({ ...person, ...wanted }, password ?? person.password);
    if (this.session === name) this.session = null;
    return { status: method === 'DELETE' ? 204 : 200, json: wanted };
  }

  #tokens({ method, body }: Asked, id: string | undefined): Answered {
    if (method === 'GET') return { status: 200, json: { tokens: this.tokens } };
    if (method === 'DELETE') {
      this.tokens = this.tokens.filter((one) => one['id'] !== id);
      return { status: 204 };
    }
    const wanted = body as Record<string, unknown>;
    if (wanted['label'] === '')
      return refusal(422, 'label_wrong', 'A label has 1 to 64 characters.');
    const made = { ...wanted, id: `t${this.tokens.length}`, maker: this.session };
    this.tokens.push({ expires: null, ...made });
    return { status: 201, json: { expires: null, ...made, token: TOKEN } };
  }

  #credentials({ method, body }: Asked, name: string | undefined): Answered {
    if (method === 'GET') return { status: 200, json: { credentials: this.credentials } };
    if (method === 'DELETE') {
      this.credentials = this.credentials.filter((one) => one['name'] !== name);
      return { status: 204 };
    }
    const wanted = { ...(body as Record<string, unknown>) };
    if (method === 'PATCH') {
      const known = this.credentials.find((one) => one['name'] === name);
      return { status: 200, json: { ...known, password: `${PASSWORD} anew` } };
    }
    if (this.credentials.some((one) => one['name'] === wanted['name']))
      return refusal(409, 'exists', 'There is one of this name already.');
    const url = `rtsp://${String(wanted['name'])}@box.test:8554/gate`;
    const made = { ...wanted, active: true, last_used: null, url };
    this.credentials.push(made);
    return { status: 201, json: { ...made, password: PASSWORD } };
  }

  #add(account: Account, password: string): void {
    this.people.set(account.name, { ...account, password });
  }

  #try({ body }: Asked): Answered {
    const { url = '', password } = body as Record<string, string>;
    this.tried.push(body);
    if (!url.includes('10.0.0.7'))
      return refusal(422, 'unreachable', 'Nothing answers at this address.');
    if (password !== 'secret')
      return refusal(422, 'credentials', 'The camera wants other credentials.');
    return {
      status: 200,
      json: {
        codec: 'H265',
        width: 2560,
        height: 1440,
        fps: 20,
        gop: 10,
        bitrate: 4_100_000,
        picture: PICTURE,
        warnings: [
          'A key frame comes every 10 s only. Set the interval to 1 or 2 s in the camera.',
        ],
      },
    };
  }

  #camera({ method, path, headers, body }: Asked): Answered {
    const name = decodeURIComponent(path.split('/').at(-1) ?? '');
    const section = this.cameras.get(name);
    if (method === 'GET')
      return { status: 200, json: { name, section }, headers: { etag: this.#tag() } };
    if (headers.get('if-match') !== this.#tag())
      return refusal(412, 'changed', 'The configuration has changed meanwhile.');
    this.#etag += 1;
    if (method === 'PUT') this.cameras.set(name, body);
    if (method === 'PATCH') this.cameras.set(name, { ...(section as object), ...(body as object) });
    if (method === 'DELETE') this.cameras.delete(name);
    return { status: 200, json: {}, headers: { etag: this.#tag() } };
  }

  #tag(): string {
    return `"${this.#etag}"`;
  }
}

/** Only admins are told more than a word. */
const HEALTH = {
  admin: { status: 'ok', checks: [{ name: 'storage', status: 'ok', message: 'All is well.' }] },
  operator: { status: 'ok' },
  viewer: { status: 'ok' },
};
const SIGNED_OUT = refusal(401, 'not_signed_in', 'Sign in first.');
const WEAK = refusal(422, 'password_weak', 'The password is too short, or holds the name.');

function shown({ name, role, streams, past }: Person): Account {
  return { name, role, streams, past };
}

function isWeak(password = '', name = ''): boolean {
  return password.length < 12 || password.includes(name);
}

function refusal(status: number, code: string, message: string, more: object = {}): Answered {
  return { status, json: { error: { code, message, ...more } } };
}
