#!/usr/bin/env bash
# Shows the main job. Usage: tools/demo.sh NEUROS [MODEL]   (no MODEL: the one in zoo/assistant)
set -euo pipefail

neuros=$1
model=${2:-}
here=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }

chat=
if [ -z "$model" ]; then
  chat=yes
  model=$here/zoo/assistant/assistant.gguf
  questions=("What is the capital of France?" "What is twelve plus thirty?" "Who are you?")
else
  questions=("Once upon a time" "The little dog was sad because" "One day, a bird")
fi

say "plan of $(basename "$model")"
"$neuros" plan "$model"

for question in "${questions[@]}"; do
  say "$question"
  "$neuros" run "$model" -p "$question" --temp 0 -n 64
done

say "speed against the roof of this machine"
"$neuros" bench "$model" --prompt 128 --generate 64

say "the OpenAI API"
log=$(mktemp)
"$neuros" serve "$model" --port 0 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
url=
for _ in $(seq 100); do
  url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$log" | head -1)
  [ -n "$url" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$log"; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { cat "$log"; echo "the server did not come up"; exit 1; }
if [ -n "$chat" ]; then
  path=/v1/chat/completions
  body='{"messages": [{"role": "user", "content": "'${questions[0]}'"}], "max_tokens": 32, "temperature": 0}'
else
  path=/v1/completions
  body='{"prompt": "'${questions[0]}'", "max_tokens": 32, "temperature": 0}'
fi
echo "POST $url$path $body"
if command -v curl >/dev/null; then
  curl -sS -H 'Content-Type: application/json' -d "$body" "$url$path"
  echo
else
  exec 3<>"/dev/tcp/127.0.0.1/${url##*:}"
  printf 'POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "$path" "${#body}" "$body" >&3
  sed '1,/^\r$/d' <&3
fi
kill -TERM "$server"
wait "$server" || true
say "done"
