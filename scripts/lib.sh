# Shared by the scripts: saying what is done, doing it with progress, installing what is missing. Sourced by bash.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export LC_ALL=C.UTF-8
started=$SECONDS

say() { printf '== %s\n' "$*"; }
fail() { # cause, cure
  printf 'failed: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '  cure: %s\n' "$2" >&2
  exit 1
}
trap 'printf "\ninterrupted\n" >&2; exit 130' INT TERM

# run LOG WHAT COMMAND…: output to build/logs/LOG.log, progress while it runs, the log's end when it fails.
run() {
  local log="$root/build/logs/$1.log" what=$2 begun=$SECONDS status=0 told=0 now line
  shift 2
  mkdir -p "$root/build/logs"
  printf '   %s\n' "$what"
  "$@" >"$log" 2>&1 </dev/null &
  local pid=$! pace=10
  [ ! -t 1 ] || pace=1
  trap 'kill -TERM "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; printf "\ninterrupted: %s\n" "$what" >&2; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    now=$((SECONDS - begun))
    # A terminal shows one line that changes; a log need not hold one for every second.
    [ "$now" -ge $((told + pace)) ] || continue
    told=$now
    line=$(tail -c 400 "$log" | tr '\r' '\n' | grep -v '^ *$' | tail -n 1 | cut -c1-90) || true
    if [ -t 1 ]; then printf '\r\033[K   %s: %ss  %s' "$what" "$now" "$line"; else printf '   %s: %ss  %s\n' "$what" "$now" "$line"; fi
  done
  wait "$pid" || status=$?
  trap 'printf "\ninterrupted\n" >&2; exit 130' INT TERM
  [ ! -t 1 ] || [ "$told" = 0 ] || printf '\r\033[K'
  if [ "$status" != 0 ]; then
    grep -nE 'error|FAILED|^E:|ERROR' "$log" | head -n 20 >&2 || true
    printf '   %s failed (exit %s); the end of %s:\n' "$what" "$status" "$log" >&2
    tail -n 15 "$log" >&2
  else
    printf '   %s: done (%ss)\n' "$what" $((SECONDS - begun))
  fi
  return "$status"
}

# need GROUP…: installs the packages of these groups that are missing. Nothing to do is the common case and quick.
need() {
  local missing=() group package why installed
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2=="installed"{print $1}') ||
    fail "dpkg-query does not run: this is not Debian or Ubuntu" \
      "install what scripts/packages lists by your system's own means, then run scripts/build release"
  while read -r group package why; do
    case " $* " in *" $group "*) grep -qxF "$package" <<<"$installed" || missing+=("$package") ;; esac
  done < <(grep -v '^#' "$root/scripts/packages")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${#missing[@]} packages: ${missing[*]}"
  local quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=120)
  if [ "$(id -u)" != 0 ]; then
    quiet=(sudo "${quiet[@]}")
    command -v sudo >/dev/null || fail "packages are missing and this is neither root nor has sudo" \
      "as root: apt-get install ${missing[*]}"
    sudo -v || fail "sudo was refused" "as root: apt-get install ${missing[*]}"
  fi
  run apt-update "apt-get update" "${quiet[@]}" update ||
    fail "apt-get update did not work" "check the network and /etc/apt/sources.list, then run this again"
  run apt-install "apt-get install" "${quiet[@]}" install --no-install-recommends "${missing[@]}" ||
    fail "apt-get install did not work" "see above; with an older release than Debian 12, a package may not exist"
}
