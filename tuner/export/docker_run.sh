# What follows is the same in every file of this format.

say() { printf '%s\n' "$*" >&2; }

# Runs its words, or prints them as a shell reads them.
run() {
  if [ "$dry_run" = no ]; then
    "$@" >/dev/null
    return
  fi
  for word in "$@"; do
    case $word in
      '' | *[!A-Za-z0-9_./:=,@+-]*)
        printf '%s\n' "$word" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/' \\\\/"
        ;;
      *) printf '%s ' "$word" ;;
    esac
  done
  echo
}

# A caller may have one more label on all that is made here: TUNE_LABEL=NAME=VALUE.
label=${TUNE_LABEL-}

# start NAME WORDS: a container that is there is started, if it is of this very file.
start() {
  name=$1
  shift
  there=absent
  if [ "$dry_run" = no ]; then
    there=$(docker container inspect --format '{{index .Config.Labels "tune.export.file"}}' \
      "$name" 2>/dev/null) || there=absent
  fi
  case $there in
    absent)
      run docker run -d --name "$name" --label "tune.export=$project" \
        --label "tune.export.file=$file" ${label:+--label "$label"} "$@"
      ;;
    "$file$label") run docker start "$name" ;;
    *)
      say "a container $name is there already, and is not this one: take it down first"
      exit 1
      ;;
  esac
}

network() {
  if [ "$dry_run" = no ] && docker network inspect "$project" >/dev/null 2>&1; then return; fi
  run docker network create --label "tune.export=$project" \
    ${label:+--label "$label"} "$project"
}

down() {
  containers=$(docker ps -aq --filter "label=tune.export=$project")
  for id in $containers; do run docker rm -f -v "$id"; done
  networks=$(docker network ls -q --filter "label=tune.export=$project")
  for id in $networks; do run docker network rm "$id"; done
}

fetch() (
  unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
  if command -v curl >/dev/null; then
    curl -fsS --max-time 5 "$1" 2>/dev/null
  else
    wget -qO- -T 5 "$1" 2>/dev/null
  fi
)

# wait_for NAME PORT PATH PATTERN: until it is ready; the container's last words where it is not.
wait_for() {
  left=$seconds
  until body=$(fetch "http://127.0.0.1:$2$3") && printf '%s\n' "$body" | grep -qE "$4"; do
    if [ "$left" -le 0 ]; then
      docker logs --tail 20 "$1" >&2 || true
      say "$1 was not ready within $seconds s"
      exit 1
    fi
    left=$((left - 1))
    sleep 1
  done
  say "$1 is ready"
}

action=up
dry_run=no
for word in "$@"; do
  case $word in
    up | down) action=$word ;;
    --dry-run) dry_run=yes ;;
    *)
      say "usage: sh $0 [up|down] [--dry-run]"
      exit 2
      ;;
  esac
done

if [ "$action" = down ]; then
  down
  exit
fi
if ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
  say "needs curl or wget, to see when the model is ready"
  exit 1
fi
network
replicas
if [ "$dry_run" = no ]; then await; fi
