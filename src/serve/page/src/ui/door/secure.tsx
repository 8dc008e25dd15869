// The hint that this connection can be read by others, and how to trust the box's certificate.

import { useEffect, useState } from 'preact/hooks';
import { boxUrl } from '../../net/url';
import { offersCertificate, secureAddress } from '../../state/secure';
import { Icon } from '../icon';

export function Secure() {
  const [offered, setOffered] = useState(false);
  useEffect(() => void offersCertificate().then(setOffered), []);
  if (!offered) return null;
  const secure = location.protocol === 'https:';
  return (
    <div class="secure">
      {!secure && (
        <p>
          <Icon name="warn" />
          <span>
            <b>This connection is not encrypted.</b> Anyone on this network could read what you
            send. <a href={secureAddress()}>Open the secure page</a>
          </span>
        </p>
      )}
      <details>
        <summary>
          {secure ? 'Trust this box on other devices' : 'The browser warns of the secure page?'}
        </summary>
        <p>
          The box made its certificate itself, so a device trusts it once its authority is installed
          there. It vouches for this box only.
        </p>
        <p>
          {/* Not as a download: an iPhone would keep the file instead of offering to install it. */}
          <a class="button" href={boxUrl('ca.pem').href}>
            <Icon name="save" /> Download the certificate
          </a>
        </p>
        <dl>
          <dt>Android</dt>
          <dd>
            Settings → Security → More security settings → Encryption & credentials → Install a
            certificate → CA certificate. Choose the downloaded file.
          </dd>
          <dt>iPhone, iPad</dt>
          <dd>
            Download it with Safari and allow it. Settings → General → VPN & Device Management →
            install the profile. Then Settings → General → About → Certificate Trust Settings →
            switch it on.
          </dd>
          <dt>Windows, macOS</dt>
          <dd>
            Open the file. On Windows put it into “Trusted Root Certification Authorities”, on a Mac
            into the keychain “System” and set it to “Always Trust”. Firefox has a list of its own:
            Settings → Certificates → Authorities → Import.
          </dd>
        </dl>
      </details>
    </div>
  );
}
