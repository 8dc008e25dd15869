// Starts the page.

import { render } from 'preact';
import { App } from './ui/app';
import { startPolling } from './state/box';
import { watchConfigurable } from './state/cameras';
import { startFollowing } from './state/events';
import { watchUnconfirmed } from './state/unconfirmed';
import './style/base.css';
import './style/frame.css';
import './style/card.css';
import './style/exports.css';
import './style/door.css';

const root = document.getElementById('page');
if (root !== null) {
  startPolling();
  startFollowing();
  watchConfigurable();
  watchUnconfirmed();
  render(<App />, root);
}
