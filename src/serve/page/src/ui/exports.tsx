// Export jobs: the list with its progress, and a form for a new one.

import { useEffect, useState } from 'preact/hooks';
import type { StreamInfo } from '../logic/api';
import { type Job, type JobState, localInput } from '../logic/exports';
import { moment, size } from '../logic/format';
import { boxUrl } from '../net/url';
import { now_ms, streams } from '../state/box';
import { jobs, pollExports, remove, startExport } from '../state/exports';
import { Icon } from './icon';
import { Prose } from './prose';

/** How far back a new export begins unless somebody says otherwise. */
const SPAN_MS = 10 * 60_000;

const WORDS: Record<JobState, string> = {
  queued: 'Waiting',
  running: 'Preparing',
  done: 'Ready',
  failed: 'Failed',
};

export function Exports() {
  useEffect(pollExports, []);
  const [trouble, setTrouble] = useState<string | null>(null);
  const recorded = (streams.value ?? []).filter((one) => one.recording !== null);
  const list = jobs.value ?? [];
  if (recorded.length === 0 && list.length === 0) return null;
  return (
    <section class="recordings exports" aria-labelledby="exports-name">
      <h2 id="exports-name">Exports</h2>
      <Form streams={recorded} report={setTrouble} />
      {trouble !== null && (
        <p role="alert">
          <Prose text={trouble} />
        </p>
      )}
      <ul>
        {list.map((job) => (
          <JobRow key={job.id} job={job} report={setTrouble} />
        ))}
      </ul>
    </section>
  );
}

/** Shows what went wrong, or null when nothing did. */
type Report = (trouble: string | null) => void;

function Form({ streams, report }: { streams: readonly StreamInfo[]; report: Report }) {
  const [end_ms] = useState(now_ms.value);
  if (streams.length === 0) return null;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const names = fields.getAll('stream').map(String);
    const date = (name: string) => new Date(String(fields.get(name)));
    if (names.length === 0) report('Select at least one stream.');
    else if (date('start') >= date('end')) report('The start must be earlier than the end.');
    else report(await startExport(names, date('start'), date('end')));
  };
  return (
    <details>
      <summary>New export</summary>
      <form onSubmit={(event) => void submit(event)}>
        <fieldset>
          <legend>Streams</legend>
          {streams.map(({ name, title, recording }) => (
            <label key={name}>
              <input
                type="checkbox"
                name="stream"
                value={name}
                defaultChecked={(recording?.bytes ?? 0) > 0}
              />{' '}
              {title}
            </label>
          ))}
        </fieldset>
        <DateField name="start" label="Start" ms={end_ms - SPAN_MS} />
        <DateField name="end" label="End" ms={end_ms} />
        <button type="submit">Export as signed ZIP</button>
      </form>
    </details>
  );
}

function DateField({ name, label, ms }: { name: string; label: string; ms: number }) {
  return (
    <label>
      {label}{' '}
      <input type="datetime-local" name={name} step="1" required defaultValue={localInput(ms)} />
    </label>
  );
}

/** "Preparing 64%", "Ready 3.2 MB", "Failed: the footage was overwritten". */
function JobStatus({ job }: { job: Job }) {
  return (
    <span>
      {WORDS[job.state]}
      {job.state === 'running' && ` ${job.percent}%`}
      {job.bytes !== null && ` ${size(job.bytes)}`}
      {job.reason !== null && (
        <>
          {': '}
          <Prose text={job.reason} />
        </>
      )}
    </span>
  );
}

function JobRow({ job, report }: { job: Job; report: Report }) {
  const over = job.state === 'done' || job.state === 'failed';
  const what = job.streams.join(', ');
  const times = `${moment(job.start_ms, now_ms.value)} to ${moment(job.end_ms, now_ms.value)}`;
  const act = over ? 'Remove' : 'Cancel';
  return (
    <li data-state={job.state}>
      <span>
        <b>{what}</b> {times}
      </span>
      <JobStatus job={job} />
      {job.state === 'running' && (
        <progress max={100} value={job.percent} aria-label={`Export of ${what}`} />
      )}
      {job.file !== null && (
        <a
          class="button"
          href={boxUrl(job.file).href}
          download
          aria-label={`Download the export of ${what}, ${times}`}
        >
          <Icon name="save" /> Download
        </a>
      )}
      <button
        type="button"
        aria-label={`${act} the export of ${what}, ${times}`}
        onClick={() => void remove(job.id).then(report)}
      >
        {act}
      </button>
    </li>
  );
}
