// A WebSocket to the box that carries media and JSON messages.
//
// Owns: the browser's socket. Once closed by its owner it reports nothing more.

import { doubt } from './doubt';

export interface SocketListener {
  text(text: string): void;
  bytes(bytes: Uint8Array<ArrayBuffer>): void;
  /** The other side closed it, or it never opened. */
  closed(): void;
}

export class MediaSocket {
  readonly #socket: WebSocket;

  constructor(url: URL, listener: SocketListener) {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
      typeof data === 'string' ? listener.text(data) : listener.bytes(new Uint8Array(data));
    socket.onclose = () => {
      // Perhaps because we may see it no longer; a browser does not say why an upgrade was refused.
      doubt();
      listener.closed();
    };
    this.#socket = socket;
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Sends a message as JSON; false when the socket is not open. */
  send(message: Record<string, unknown>): boolean {
    if (!this.open) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close(): void {
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
  }
}
