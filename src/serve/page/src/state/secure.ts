// Where the encrypted page is, and whether the box offers the certificate of its authority.

import { get } from '../net/request';

/** Names of this computer: nothing that is sent to them can be read on the way. */
const LOOPBACK = /^(localhost|127\..*|\[::1\])$/;

let offer: Promise<boolean> | null = null;

/** Whether the box has a certificate that devices could trust. Asked once. */
export function offersCertificate(): Promise<boolean> {
  if (LOOPBACK.test(location.hostname)) return Promise.resolve(false);
  offer ??= get('ca.pem').then((outcome) => outcome.ok);
  return offer;
}

/** The same place on the encrypted page. */
export function secureAddress(): string {
  const url = new URL(location.href);
  url.protocol = 'https:';
  url.port = url.port === '8080' ? '8443' : '';
  return url.href;
}
