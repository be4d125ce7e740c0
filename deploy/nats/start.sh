#!/bin/sh
# Runs nats-server with these arguments, in a container. At the first start it generates the key that encrypts
# JetStream's files; without this file they cannot be read again, so keep a copy of it elsewhere.
set -eu
key="${STORE_KEY_FILE:-/etc/nats/keys/store-key.conf}"
if [ ! -s "$key" ]; then
  umask 077
  random="$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
  printf 'key: "%s"\ncipher: "chachapoly"\n' "$random" > "$key.new"
  mv "$key.new" "$key"
fi
exec nats-server "$@"
