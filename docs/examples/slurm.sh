#!/bin/bash
# Train one model by Slurm, on as many machines as --nodes says: sbatch slurm.sh
#
# The working folder must be on a disk that all machines share, and hold the text. Adapt the lines
# #SBATCH to your cluster, the virtual environment, and the command at the end.
#
# Where the time is up or the job is preempted, mypt saves and the job is put into the queue again;
# the same command then goes on. It ends by itself when the training is complete, or has failed.
#SBATCH --job-name=dante
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -eu

# shellcheck disable=SC1091
source .venv/bin/activate

# 300 seconds before the time is up (--signal), Slurm wakes this script, which has the run save.
requeue=
save_and_requeue() {
    requeue=yes
    echo "The time is nearly up: saving, to go on later"
    scancel --signal=USR1 "$SLURM_JOB_ID"
}
trap save_and_requeue USR1

first_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
launch=(
    torchrun --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="${SLURM_GPUS_ON_NODE:-1}"
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$first_node:29500"
    --max-restarts=3
    --signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGUSR1 # torchrun passes on no others
)

srun --wait=120 "${launch[@]}" -m mypt train --model_name dante --input_file input.txt \
    --config_file modern/150M --max_iters 20000 --save_minutes 10 &
training=$!

# `wait` ends early when the script is woken; the second one waits for the save.
code=0
wait "$training" || code=$?
if [[ $requeue ]]; then
    wait "$training" || true
    scontrol requeue "$SLURM_JOB_ID"
else
    exit "$code"
fi
