#!/usr/bin/env bash
# Shows the REST API with curl:  SERVER=http://127.0.0.1:8501 MODEL_NAME=birds clients/curl.sh
# For a model without classes, leave out "label" in the requests.
set -euo pipefail

server=${SERVER:-http://127.0.0.1:8501}
model=$server/v1/models/${MODEL_NAME:?is the name of the model}
label=${LABEL:-0}
output=${OUTPUT:-picture.png}

# --retry repeats a request after status 503 or a timeout, but not after an error of the request.
ask() { curl --silent --show-error --fail-with-body --max-time 30 --retry 4 "$@"; }

echo "Status:"
ask "$model"
echo

echo "Signatures:"
ask "$model/metadata" | grep -o '"DT_[A-Z0-9]*"' | sort | uniq -c

echo "One picture, with the inputs as rows:"
ask "$model:predict" --data '{"signature_name": "generate_png",
  "instances": [{"label": '"$label"', "seed": 1, "truncation": 0.5}]}' |
  sed -n 's/.*"b64": *"\([^"]*\)".*/\1/p' | base64 --decode > "$output"
ls -l "$output"

echo "The same pixels as numbers, with the inputs as columns:"
ask "$model:predict" --data '{"signature_name": "generate",
  "inputs": {"label": ['"$label"'], "seed": [1], "truncation": [0.5]}}'  |
  tr -d '\n' | cut -c 1-100
echo

echo "What a refused request gets:"
curl --silent --max-time 30 "$model:predict" --data '{"signature_name": "generate_png",
  "instances": [{"label": '"$label"', "seed": -1, "truncation": 0.5}]}'
echo
