#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once: what is there stays. The directory is for its owner only; the files in it are readable,
# since the users of the containers are others than the owner of the directory.
set -euo pipefail
cd "$(dirname "$0")"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() {
  [ -e "secrets/$1" ] && return
  printf '%s\n' "$2" >"secrets/$1"
  chmod 0444 "secrets/$1"
}

mkdir -p secrets
chmod 0700 secrets
keep postgres_password "$(random)"
keep store_url "postgres://citadel:$(cat secrets/postgres_password)@postgres:5432/citadel"
keep admin_password "$(random)"
keep master_key "$(random)"
echo "secrets: the first owner's password is in docker/secrets/admin_password; keep a copy of docker/secrets/master_key" >&2
