// The pictures of a new box's own cameras, so that an installer sees which box this is.

import { useEffect, useState } from 'preact/hooks';
import { previewCameras, previewPicture } from '../../state/preview';

/** A picture follows the one before it after so long. */
const PERIOD_MS = 2_000;

export function Preview() {
  const [names, setNames] = useState<readonly string[]>([]);
  const [count, setCount] = useState(0);
  useEffect(() => void previewCameras().then(setNames), []);
  useEffect(() => {
    if (names.length === 0) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setCount((count) => count + 1);
    }, PERIOD_MS);
    return () => clearInterval(timer);
  }, [names]);
  if (names.length === 0) return null;
  return (
    <section class="preview" aria-labelledby="preview-name">
      <h2 id="preview-name">What it sees now</h2>
      <ul>
        {names.map((name) => (
          <li key={name}>
            <figure>
              <img src={previewPicture(name, count)} alt={`What ${name} sees`} />
              <figcaption>{name}</figcaption>
            </figure>
          </li>
        ))}
      </ul>
      <p class="quiet">
        Everybody on this network can see this until the box is claimed, and for half an hour at
        most.
      </p>
    </section>
  );
}
