// Protecting a range from being overwritten, and the ranges that are.

import { useState } from 'preact/hooks';
import type { Pin } from '../../logic/api';
import { clock, count } from '../../logic/format';
import type { Span } from '../../logic/span';
import { change } from '../../net/request';
import { account } from '../../state/session';
import { Prose } from '../prose';

const PATH = 'api/v1/pins';
const REASON = 'protected on the page';

interface ProtectProps {
  readonly stream: string;
  readonly start_ms: number;
  readonly end_ms: number;
}

/** Protects the range that is marked. */
export function Protect({ stream, start_ms, end_ms }: ProtectProps) {
  const [told, setTold] = useState('');
  const act = async () => {
    const [start, end] = [new Date(start_ms).toISOString(), new Date(end_ms).toISOString()];
    const wanted = { stream, start, end, reason: REASON, owner: account.value?.name ?? '' };
    setTold((await change('POST', PATH, wanted)) ?? 'Protected: it is not overwritten.');
  };
  return (
    <>
      <button type="button" onClick={() => void act()}>
        Protect
      </button>
      <span role="status">
        <Prose text={told} />
      </span>
    </>
  );
}

/** The protected ranges in view. `may_end`: whether they can be given up here. */
export function Protected({
  pins,
  span,
  may_end,
}: {
  pins: readonly Pin[];
  span: Span;
  may_end: boolean;
}) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const in_view = pins.filter((pin) => pin.end_ms > span.start_ms && pin.start_ms < span.end_ms);
  if (in_view.length === 0) return null;
  return (
    <details class="gaps">
      <summary>{count(in_view.length, 'protected range')} in view</summary>
      <ul>
        {in_view.map((pin) => (
          <li key={pin.id}>
            <span>
              {clock(pin.start_ms)}–{clock(pin.end_ms)}: <Prose text={pin.reason} />
            </span>
            {may_end && (
              <button
                type="button"
                aria-label={`End the protection from ${clock(pin.start_ms)}`}
                onClick={() => void change('DELETE', `${PATH}/${pin.id}`).then(setTrouble)}
              >
                End protection
              </button>
            )}
          </li>
        ))}
      </ul>
      {trouble !== null && (
        <p role="alert">
          <Prose text={trouble} />
        </p>
      )}
    </details>
  );
}
