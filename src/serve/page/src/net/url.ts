// Addresses on the box, relative to where the page itself was loaded from.
//
// Owns: the rule that a path belongs behind the document's base. The page may be served below a
// path of a reverse proxy, so nothing may assume that the box is at "/".

/** The address of `path`; a leading slash, as the API writes it, means the root of the box. */
export function boxUrl(path: string): URL {
  return new URL(path.replace(/^\/+/, '') || './', document.baseURI);
}

/** The address of a WebSocket at `path`: encrypted where the page is. */
export function socketUrl(path: string): URL {
  const url = boxUrl(path);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
