#!/usr/bin/env bash
# A run in eight parts on a Slurm cluster: one task for each part, all on one shared folder, then one that joins them.
#
#     mkdir -p logs && sbatch examples/slurm.sh
#
# Parts are independent: a task that fails, is preempted or runs out of time is given again by its number and goes on
# where it stopped: `sbatch --array=3 examples/slurm.sh`. Where it was killed on another machine, its lock's note is
# still there: `BREAK=1 sbatch --array=3 examples/slurm.sh`.
#SBATCH --job-name=t2v-evals
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=logs/%x-%A-%a.txt
set -euo pipefail

RUNS=${RUNS:-$PWD/runs}                           # on a file system that all machines share
GENERATOR=${GENERATOR:-diffusers:Wan-AI/Wan2.1-T2V-1.3B-Diffusers}
NAME=${NAME:-wan-1.3b}
PARTS=${PARTS:-8}                                 # how many parts there are; keep it when you give one of them again

# A task that was requeued may land on another machine, too.
again=()
if [ -n "${BREAK:-}" ] || [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then again=(--break-lock); fi

t2v-evals run --generator "$GENERATOR" --prompts core --seeds 2 --suite standard \
    --out "$RUNS" --name "$NAME" --shard "$SLURM_ARRAY_TASK_ID/$PARTS" \
    --workers "$SLURM_CPUS_PER_TASK" --quiet ${again[@]+"${again[@]}"}

# Then, once, when all parts have ended:
#
#     sbatch --dependency=afterany:JOBID --wrap "t2v-evals merge $RUNS/$NAME && t2v-evals show $RUNS/$NAME"
