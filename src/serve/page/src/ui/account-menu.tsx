// Who is signed in, and what they can do with their account.

import { useRef, useState } from 'preact/hooks';
import { configurable } from '../state/cameras';
import { account, door, rights, signOut } from '../state/session';
import { viewAddress } from '../state/route';
import { Icon } from './icon';
import { useCloseOutside } from './panel';

export function AccountMenu() {
  const who = account.value;
  const panel = useRef<HTMLDetailsElement>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  useCloseOutside(panel);
  if (door.value === 'open' && configurable.value)
    return (
      <>
        <a class="button" href={viewAddress('add-camera')}>
          Add camera
        </a>
        <a class="button" href={viewAddress('settings')}>
          Settings
        </a>
      </>
    );
  if (who === null) return null;
  const shut = () => {
    if (panel.current !== null) panel.current.open = false;
  };
  return (
    <details
      class="account"
      ref={panel}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !event.currentTarget.open) return;
        event.preventDefault();
        shut();
        event.currentTarget.querySelector('summary')?.focus();
      }}
    >
      <summary>
        <Icon name="person" />
        <span class="hidden">Account: </span>
        <span class="name">{who.name}</span>
      </summary>
      <div class="panel">
        <p>
          <b>{who.name}</b> <span class="quiet">{who.role}</span>
        </p>
        <ul onClick={shut}>
          {rights.value.admin && (
            <>
              {configurable.value && (
                <li>
                  <a href={viewAddress('add-camera')}>Add camera</a>
                </li>
              )}
              <li>
                <a href={viewAddress('people')}>People</a>
              </li>
              <li>
                <a href={viewAddress('credentials')}>Players and recorders</a>
              </li>
              <li>
                <a href={viewAddress('tokens')}>API tokens</a>
              </li>
              {configurable.value && (
                <li>
                  <a href={viewAddress('settings')}>Settings</a>
                </li>
              )}
              <li>
                <a href={viewAddress('system')}>System</a>
              </li>
            </>
          )}
          <li>
            <a href={viewAddress('password')}>Change password</a>
          </li>
        </ul>
        {trouble !== null && <p role="alert">{trouble}</p>}
        <button
          type="button"
          onClick={() => void signOut().then((refused) => setTrouble(refused?.message ?? null))}
        >
          Sign out
        </button>
      </div>
    </details>
  );
}
