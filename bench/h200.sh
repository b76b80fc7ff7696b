#!/usr/bin/env bash
# Measures and checks an NVIDIA GPU in one command. The machine with the GPU needs the driver and this tree, and no Go: the programs
# are made ahead, anywhere.
#
#   bench/h200.sh build    makes the programs, for Linux on amd64, in bench/h200 and packed in bench/h200.tar.gz
#   bench/h200.sh          runs all on the GPU and prints Markdown for bench/README.md: date, device, driver, probe, device suite,
#                          SmolLM2's text against the CPU's, and speeds of 8B models with random weights
#
# testdata/fetch has SmolLM2; without it that part says so. LLAMA31_CUDA_LIBRARY names another driver, LLAMA31_H200_SIZES other sizes
# and types of synthetic models ("8b:q8_0 tiny:q4_0"), LLAMA31_H200_FOLDER where they go (30 GB), LLAMA31_H200_BENCH the options of
# llamabench, LLAMA31_H200_TOKENS how many tokens SmolLM2 says, LLAMA31_H200_TESTS which tests run. So all of it runs on the simulated
# driver, as .ci/full does.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bench/h200
failed=0

if [[ ${1:-} == build ]]; then
	set -e
	export GOOS=linux GOARCH=amd64 CGO_ENABLED=0
	mkdir -p "$bin"
	go test -c -ldflags "-s -w" -o "$bin/cuda.test" ./kernels/cuda
	for program in bench/llamabench bench/perplexity bench/serve bench/synth bench/gpuprobe examples/chat; do
		go build -ldflags "-s -w" -o "$bin/$(basename "$program")" "./$program"
	done
	tar -C bench -czf bench/h200.tar.gz h200
	ls -l "$bin" bench/h200.tar.gz
	exit
fi
[[ -d $bin || ! -f bench/h200.tar.gz ]] || tar -C bench -xzf bench/h200.tar.gz
[[ -x $bin/llamabench ]] || { echo "bench/h200.sh build makes the programs first" >&2; exit 1; }

# step TITLE COMMAND... runs a command under a headline, and goes on if it fails.
step() {
	printf '\n### %s\n\n' "$1"
	shift
	"$@" && return
	printf '\n**failed** with exit status %d: `%s`\n' $? "$*"
	failed=1
}

tests() { (cd kernels/cuda && echo '```' && LLAMA31_REQUIRE=cuda "$bin/cuda.test" -test.timeout 20m -test.run "${LLAMA31_H200_TESTS:-TestDevice|TestDeterministic|TestSmolLM2|TestSample}" -test.v | grep -- '--- \|^ok\|^FAIL\|^PASS\|_test.go' | tail -n 60; status=${PIPESTATUS[0]}; echo '```'; exit "$status"); }

# text runs SmolLM2 greedily on both devices and compares.
text() {
	local model=testdata/fetched/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf gpu cpu
	[[ -f $model ]] || { echo "$model was not fetched: left out"; return; }
	gpu=$("$bin/chat" -model "$model" -p "What is the capital of France?" -n ${LLAMA31_H200_TOKENS:-40} -temp 0 -device cuda) || return
	cpu=$("$bin/chat" -model "$model" -p "What is the capital of France?" -n ${LLAMA31_H200_TOKENS:-40} -temp 0 -device cpu) || return
	echo "GPU: $gpu"
	echo "CPU: $cpu"
	"$bin/llamabench" -model "$model" -device cuda ${LLAMA31_H200_BENCH:-}
}

# synthetic measures a model of a size and type with random weights.
synthetic() {
	local folder=${LLAMA31_H200_FOLDER:-$(mktemp -d)} size=${1%:*} type=${1#*:}
	local file=$folder/$size-$type.gguf
	[[ -f $file ]] || "$bin/synth" -o "$file" -size "$size" -type "$type" || return
	"$bin/llamabench" -model "$file" -device cuda -r 3 ${LLAMA31_H200_BENCH:-}
	local status=$?
	[[ -n ${LLAMA31_H200_FOLDER:-} ]] || rm -rf "$folder"
	return $status
}

echo "## $(date -u +%Y-%m-%d)"
step "Probe" "$bin/gpuprobe"
step "Device suite" tests
step "SmolLM2 135M Q4_1" text
for model in ${LLAMA31_H200_SIZES:-8b:q4_k_m 8b:q8_0 8b:bf16}; do
	step "Llama 3.1 ${model/:/, }, random weights" synthetic "$model"
done
exit $failed
