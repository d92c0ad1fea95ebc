#!/usr/bin/env bash
# Fine-tunes Inception v3 on the images in pic/train/CLASS and pic/validation/CLASS:
# first its head, then all layers.
set -euo pipefail

# Folder of the images; folders for the published weights, the data set and the trained nets
IMAGES=${IMAGES:-pic}
PRETRAINED_CHECKPOINT_DIR=${PRETRAINED_CHECKPOINT_DIR:-guangdong/pretrained}
DATASET_DIR=${DATASET_DIR:-guangdong/data}
TRAIN_DIR=${TRAIN_DIR:-guangdong/train_dir}
HEAD_STEPS=${HEAD_STEPS:-100000}
ALL_STEPS=${ALL_STEPS:-500}

slimtune download inception_v3 --output-dir "$PRETRAINED_CHECKPOINT_DIR"
if ! compgen -G "$DATASET_DIR/guangdong_train_*.tfrecord" > /dev/null; then
  slimtune convert -t "$IMAGES" --output-dir "$DATASET_DIR" --dataset-name guangdong \
    --train-shards 2 --validation-shards 2
fi

train() {
  slimtune train --dataset_name=guangdong --dataset_split_name=train --dataset_dir="$DATASET_DIR" \
    --model_name=inception_v3 --optimizer=rmsprop --weight_decay=0.00004 \
    --learning_rate_decay_type=fixed --batch_size=32 \
    --save_interval_secs=300 --save_summaries_secs=2 --log_every_n_steps=10 "$@"
}

# The head
train --train_dir="$TRAIN_DIR" --checkpoint_path="$PRETRAINED_CHECKPOINT_DIR/inception_v3.ckpt" \
  --checkpoint_exclude_scopes=InceptionV3/Logits,InceptionV3/AuxLogits \
  --trainable_scopes=InceptionV3/Logits,InceptionV3/AuxLogits \
  --max_number_of_steps="$HEAD_STEPS" --learning_rate=0.001
slimtune eval "$TRAIN_DIR"

# All layers, starting from the trained head
train --train_dir="$TRAIN_DIR/all" --checkpoint_path="$TRAIN_DIR" \
  --max_number_of_steps="$ALL_STEPS" --learning_rate=0.0001
slimtune eval "$TRAIN_DIR/all"
