#!/usr/bin/env bash
# Trains LeNet on MNIST from random weights and evaluates it, with slim's number of steps and learning rate.
set -euo pipefail

# Folders for the data set and the trained net
DATASET_DIR=${DATASET_DIR:-/tmp/mnist}
TRAIN_DIR=${TRAIN_DIR:-/tmp/lenet-model}
STEPS=${STEPS:-20000}

slimtune download mnist --dataset-dir "$DATASET_DIR"
slimtune train --train_dir="$TRAIN_DIR" --dataset_name=mnist --dataset_split_name=train \
  --dataset_dir="$DATASET_DIR" --model_name=lenet --preprocessing_name=lenet --max_number_of_steps="$STEPS" \
  --optimizer=sgd --learning_rate=0.01 --learning_rate_decay_type=fixed --weight_decay=0 --batch_size=50 \
  --save_interval_secs=60 --save_summaries_secs=60 --log_every_n_steps=100
slimtune eval "$TRAIN_DIR" --dataset-split-name=test
