#!/bin/bash
# One Slurm job: a Ray cluster over its nodes, and a command of rl-datagen on the first of them.
#
#   sbatch --nodes=4 --cpus-per-task=32 cluster/slurm.sh \
#       rl-datagen campaign run expert_state campaign task=all name=all output_dir=/SHARED/outputs
#
# Submit it from where `rl-datagen` is on PATH (an activated environment on a disk that all nodes
# share); `output_dir` or `campaign.storage` must be shared, too. Slurm ends Ray with the job; the
# same sbatch line goes on with what is left. GPU nodes: add --gpus-per-task=1.
#SBATCH --job-name=rl-datagen
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
set -euo pipefail

if [ $# = 0 ]; then
    echo "sbatch cluster/slurm.sh COMMAND...: say what to run, such as rl-datagen campaign run ..." >&2
    exit 2
fi
# Jobs may share a machine. So no port is Ray's default, and no folder either.
port=$((20000 + SLURM_JOB_ID % 10000 * 4))
address="${RAY_HEAD_IP:-$(hostname --ip-address | cut -d' ' -f1)}:$port"
folder="/tmp/ray-$SLURM_JOB_ID"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN="${RAY_AUTH_TOKEN:-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')}"
any=(--block --disable-usage-stats --dashboard-agent-listen-port=0 --min-worker-port=0 --max-worker-port=0)
head=(--head "--port=$port" "--node-ip-address=${address%:*}" "--temp-dir=$folder"
    "--dashboard-port=$((port + 1))" "--ray-client-server-port=$((port + 2))")

start() {  # start NUMBER-OF-NODES SRUN-OPTIONS... -- RAY-OPTIONS...
    local nodes=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    # shellcheck disable=SC2016 # a node's own number of cores
    srun --nodes="$nodes" --ntasks="$nodes" "${options[@]}" \
        bash -c 'exec ray start --num-cpus="$SLURM_CPUS_ON_NODE" "$@"' ray "$@" &
}

start 1 "--nodelist=$SLURMD_NODENAME" -- "${any[@]}" "${head[@]}"
for _ in $(seq 60); do
    ray health-check --address "$address" >/dev/null 2>&1 && break
    sleep 2
done
if [ "$SLURM_NNODES" -gt 1 ]; then
    start $((SLURM_NNODES - 1)) "--exclude=$SLURMD_NODENAME" -- "${any[@]}" "--address=$address"
fi

export RAY_ADDRESS=$address
"$@" &
command=$!
trap 'kill -TERM $command' TERM  # a minute before the time is up, or by scancel --signal=TERM --batch
code=0
wait $command || code=$?
if [ $code -gt 128 ]; then wait $command || code=$?; fi  # the first wait ended with the signal
rm -rf "$folder"
exit $code
