// Reports that the box may no longer know who we are.
//
// Owns: the one listener. Requests and sockets report, `state/session` finds out.

let listener: () => void = () => undefined;

/** Calls `heard` each time an answer or a lost socket leaves it open whether we are signed in. */
export function onDoubt(heard: () => void): void {
  listener = heard;
}

export function doubt(): void {
  listener();
}
