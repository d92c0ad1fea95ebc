#!/usr/bin/env bash
# Fine-tunes Inception-ResNet v2 on the flowers data set: first its head, then all layers.
# Downloads the data and the published weights, trains and evaluates, with slim's steps and learning rates.
set -euo pipefail

# Folders for the published weights, the data set and the trained nets
PRETRAINED_CHECKPOINT_DIR=${PRETRAINED_CHECKPOINT_DIR:-/tmp/checkpoints}
DATASET_DIR=${DATASET_DIR:-/tmp/flowers}
TRAIN_DIR=${TRAIN_DIR:-/tmp/flowers-models/inception_resnet_v2}
HEAD_STEPS=${HEAD_STEPS:-1000}
ALL_STEPS=${ALL_STEPS:-500}

slimtune download inception_resnet_v2 --output-dir "$PRETRAINED_CHECKPOINT_DIR"
slimtune download flowers --dataset-dir "$DATASET_DIR"

train() {
  slimtune train --dataset_name=flowers --dataset_split_name=train --dataset_dir="$DATASET_DIR" \
    --model_name=inception_resnet_v2 --optimizer=rmsprop --weight_decay=0.00004 \
    --learning_rate_decay_type=fixed --batch_size=32 \
    --save_interval_secs=60 --save_summaries_secs=60 "$@"
}

# The head
train --train_dir="$TRAIN_DIR" --checkpoint_path="$PRETRAINED_CHECKPOINT_DIR/inception_resnet_v2.ckpt" \
  --checkpoint_exclude_scopes=InceptionResnetV2/Logits,InceptionResnetV2/AuxLogits \
  --trainable_scopes=InceptionResnetV2/Logits,InceptionResnetV2/AuxLogits \
  --max_number_of_steps="$HEAD_STEPS" --learning_rate=0.01 --log_every_n_steps=10
slimtune eval "$TRAIN_DIR"

# All layers, starting from the trained head
train --train_dir="$TRAIN_DIR/all" --checkpoint_path="$TRAIN_DIR" \
  --max_number_of_steps="$ALL_STEPS" --learning_rate=0.0001 --log_every_n_steps=10
slimtune eval "$TRAIN_DIR/all"
