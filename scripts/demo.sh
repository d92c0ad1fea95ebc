#!/bin/sh
# The main job on real images, in under two minutes: train a network on the handwritten digits 0 to 4, then
# fine-tune it on 5 to 9 with its backbone frozen. For comparison the same head on an untrained backbone.
#   demo.sh [FOLDER]
set -e
folder=${1:-demo}
scripts=$(cd "$(dirname "$0")" && pwd)

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { title "\$ $*"; "$@"; }

rm -rf "$folder"
mkdir -p "$folder"
python "$scripts/digits.py" "$folder/low" 0 1 2 3 4
python "$scripts/digits.py" "$folder/high" 5 6 7 8 9

title 'Train a network on 0 to 4'
run slimtune train "$folder/low" --model lenet --max-number-of-steps 400 \
    --optimizer rmsprop --opt-epsilon 1 --learning-rate 0.01
run slimtune eval "$folder/low_lenet" --quiet

title 'Fine-tune it on 5 to 9: a new head on its frozen backbone'
run slimtune train "$folder/high" --model lenet --checkpoint-path "$folder/low_lenet" \
    --max-number-of-steps 400 --optimizer sgd --learning-rate 0.1
run slimtune eval "$folder/high_lenet"

title 'For comparison: the same head on an untrained backbone'
run slimtune train "$folder/high" --model lenet --trainable-scopes head --max-number-of-steps 400 \
    --optimizer sgd --learning-rate 0.1 --train-dir "$folder/untrained"
run slimtune eval "$folder/untrained" --quiet

title 'Export the fine-tuned network and classify three images with it'
run slimtune export "$folder/high_lenet"
set -- "$folder"/high/five/*.png
five=$1
set -- "$folder"/high/eight/*.png
eight=$1
set -- "$folder"/high/nine/*.png
run slimtune predict "$folder/high_lenet/export" "$five" "$eight" "$1"

python - "$folder" <<'REPORT'
import json
import sys


def accuracy(name):
    with open(f'{sys.argv[1]}/{name}/eval/metrics.json') as f:
        return json.load(f)['accuracy']


print(f'\nAccuracy on held-out images: {accuracy("high_lenet"):.1%} fine-tuned, '
      f'{accuracy("untrained"):.1%} on an untrained backbone.')
REPORT
cat <<NEXT

With your own images, one folder for each class (pic/daisy/*.jpg, pic/rose/*.jpg, …):
  . $(dirname "$(command -v slimtune)")/activate
  slimtune download inception_v3
  slimtune convert -t pic
  slimtune train pic --model inception_v3
  slimtune eval pic_inception_v3
  slimtune export pic_inception_v3
  slimtune predict pic_inception_v3/export photo.jpg
NEXT
