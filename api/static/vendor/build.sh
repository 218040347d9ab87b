#!/bin/sh
# Makes the vendored stylesheet and script of GOV.UK Frontend again, at pinned versions, and the list of their digests.
# Needs npm; the wheel and the service need neither npm nor Node. `build.sh --check` compares and changes nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
script=govuk-frontend-6.3.0.min.js
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts govuk-frontend@6.3.0 sass@1.108.2
cp "$here/govuk.scss" .
npx --no-install sass --pkg-importer=node --no-source-map --style=compressed --no-charset govuk.scss govuk.css
cp node_modules/govuk-frontend/dist/govuk/govuk-frontend.min.js "$script"
sed -i "s@//# sourceMappingURL=[^ ]*\$@@" "$script"
sha256sum govuk.css "$script" > SHA256SUMS
if [ "${1:-}" = "--check" ]; then
  diff SHA256SUMS "$here/SHA256SUMS" && cd "$here" && sha256sum --check SHA256SUMS
else
  cp govuk.css "$script" SHA256SUMS "$here/"
fi
