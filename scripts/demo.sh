#!/bin/sh
# The main job on real images, in under two minutes: learn the handwritten digits 0 to 4, then fine-tune that net on
# 5 to 9, its backbone frozen. Beside it the same head on a backbone that learned nothing.
#   demo.sh [FOLDER]
set -e
folder=${1:-demo}
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { say "\$ $*"; "$@"; }

rm -rf "$folder"
mkdir -p "$folder"
python "$here/digits.py" "$folder/low" 0 1 2 3 4
python "$here/digits.py" "$folder/high" 5 6 7 8 9

say 'A net that knows 0 to 4'
run slimtune train "$folder/low" --model lenet --max-number-of-steps 400 \
    --optimizer rmsprop --opt-epsilon 1 --learning-rate 0.01
run slimtune eval "$folder/low_lenet" --quiet

say 'Fine-tuned on 5 to 9: a new head on its backbone'
run slimtune train "$folder/high" --model lenet --checkpoint-path "$folder/low_lenet" --max-number-of-steps 400 \
    --optimizer sgd --learning-rate 0.1
run slimtune eval "$folder/high_lenet"

say 'The same head on an untrained backbone'
run slimtune train "$folder/high" --model lenet --trainable-scopes head --max-number-of-steps 400 \
    --optimizer sgd --learning-rate 0.1 --train-dir "$folder/untrained"
run slimtune eval "$folder/untrained" --quiet

say 'The file to ship, and three answers'
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
accuracy = [100 * json.load(open('%s/%s/eval/metrics.json' % (sys.argv[1], name)))['accuracy']
            for name in ('high_lenet', 'untrained')]
print('\nImages not seen in training: %.1f%% right when fine-tuned, %.1f%% on an untrained backbone.' % tuple(accuracy))
REPORT
cat <<NEXT

With your own images, one folder for each class (pic/daisy/*.jpg, pic/rose/*.jpg, …):
  . $(dirname "$(command -v slimtune)")/activate
  slimtune convert -t pic
  slimtune train pic --model inception_v3 --checkpoint-path inception_v3.ckpt
  slimtune eval pic_inception_v3
  slimtune export pic_inception_v3
  slimtune predict pic_inception_v3/export image.jpg
NEXT
