#!/usr/bin/env bash
# Trains CifarNet on CIFAR-10 from random weights and evaluates it, with slim's steps and learning rate.
set -euo pipefail

# Folders for the data set and the trained net
DATASET_DIR=${DATASET_DIR:-/tmp/cifar10}
TRAIN_DIR=${TRAIN_DIR:-/tmp/cifarnet-model}
STEPS=${STEPS:-100000}

slimtune download cifar10 --dataset-dir "$DATASET_DIR"
slimtune train --train_dir="$TRAIN_DIR" --dataset_name=cifar10 --dataset_split_name=train \
  --dataset_dir="$DATASET_DIR" --model_name=cifarnet --preprocessing_name=cifarnet \
  --max_number_of_steps="$STEPS" \
  --optimizer=sgd --learning_rate=0.1 --learning_rate_decay_factor=0.1 --num_epochs_per_decay=200 \
  --weight_decay=0.004 --batch_size=128 \
  --save_interval_secs=120 --save_summaries_secs=120 --log_every_n_steps=100
slimtune eval "$TRAIN_DIR" --dataset-split-name=test
