#!/bin/sh
# After `npm ci`: the Node that the project brings along must run here. On a bare Debian it lacks one library.
if node --version >/dev/null 2>&1; then exit 0; fi
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing libatomic1, which the project's Node needs"
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends libatomic1 >/dev/null
  if node --version >/dev/null 2>&1; then exit 0; fi
fi
echo "The project's Node (node_modules/.bin/node) does not run on this machine. It says:" >&2
node --version >&2
echo 'On Debian and Ubuntu run "sudo apt-get install libatomic1", then "npm ci" again.' >&2
exit 1
