// A sentence of the box, with its names as code and its dates as times of day.

import { proseParts } from '../logic/prose';
import { now_ms } from '../state/box';

export function Prose({ text }: { text: string }) {
  return (
    <>
      {proseParts(text, now_ms.value).map((part, at) =>
        part.code ? <code key={at}>{part.text}</code> : part.text,
      )}
    </>
  );
}
