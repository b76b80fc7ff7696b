#!/usr/bin/env bash
# Measures and checks an NVIDIA GPU in one command. The machine with the GPU needs the driver and this tree, and no Go: the programs
# are made ahead, anywhere.
#
#   bench/h200.sh build          makes the programs, for Linux on amd64, in bench/h200 and packed in bench/h200.tar.xz
#   bench/h200.sh [STEP...]      runs these on the GPU, or all, and prints Markdown for bench/README.md with date, device and driver:
#                                probe     the card, what it reads in a second, what a launch costs
#                                wgmma     whether wgmma gives the bits of chained mma.sync, for each format that has it
#                                suite     the device suite, and draws
#                                text      the text of a small model beside the CPU's, and its speed
#                                ahead     what waiting for the host costs between two steps
#                                SIZE:TYPE speeds of a model with random weights (8b:q4_k_m 8b:q8_0 8b:bf16)
#
# No step takes longer than its limit, so that what has been measured is printed whatever happens: a step that hangs is ended, and
# the next ones still run. The small model is SmolLM2 (testdata/fetch), or without it the tiny one of this tree. LLAMA31_CUDA_LIBRARY
# names another driver, LLAMA31_H200_FOLDER where the models go (30 GB), LLAMA31_H200_BENCH the options of llamabench,
# LLAMA31_H200_TOKENS how much is said, LLAMA31_H200_LIMIT the seconds of a step. So all of it runs on the simulated driver, as .ci/full
# does.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bench/h200
packed=bench/h200.tar.xz
failed=0

if [[ ${1:-} == build ]]; then
	set -e
	export GOOS=linux GOARCH=amd64 CGO_ENABLED=0
	mkdir -p "$bin"
	go test -c -trimpath -ldflags "-s -w" -o "$bin/cuda.test" ./kernels/cuda
	for program in bench/llamabench bench/perplexity bench/serve bench/synth bench/gpuprobe examples/chat; do
		go build -trimpath -ldflags "-s -w" -o "$bin/$(basename "$program")" "./$program"
	done
	# The programs have most of their code in common: a window over all of them.
	tar -C bench -c h200 | xz -T1 --lzma2=preset=6,dict=192MiB >"$packed"
	ls -l "$bin" "$packed"
	exit
fi
if [[ ! -x $bin/llamabench && -f $packed ]]; then
	tar -C bench -xJf "$packed" || python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall("bench")' "$packed"
fi
[[ -x $bin/llamabench ]] || { echo "bench/h200.sh build makes the programs first" >&2; exit 1; }
models=${LLAMA31_H200_FOLDER:-}
[[ -n $models ]] || { models=$(mktemp -d) && trap 'rm -rf "$models"' EXIT; }

# step TITLE LIMIT COMMAND... runs a command under a headline, for so many seconds at most, and goes on if it fails.
step() {
	local title=$1 start=$SECONDS
	end=$((SECONDS + ${LLAMA31_H200_LIMIT:-$2}))
	shift 2
	printf '\n### %s\n\n' "$title"
	"$@"
	local status=$?
	printf '\n%d seconds\n' $((SECONDS - start))
	((status == 0)) && return
	printf '\n**failed** with exit status %d: `%s`\n' $status "$*"
	failed=1
}

# within runs a program for as long as its step may still take.
within() { timeout -k 5 $((end > SECONDS ? end - SECONDS : 1)) "$@"; }

tests() {
	echo '```'
	(cd kernels/cuda && LLAMA31_REQUIRE=cuda within "$bin/cuda.test" -test.timeout 0 -test.v "$@") 2>&1 |
		grep -- '--- \|^ok\|^FAIL\|^PASS\|_test.go\|^panic\|^Benchmark\|µs/step\|kernel=' | grep -v -- '--- PASS.*/.*/' | tail -n 80
	local status=${PIPESTATUS[0]}
	echo '```'
	return "$status"
}

# text lets a model speak greedily on both devices: SmolLM2 where it was fetched, else the tiny one of this tree.
text() {
	local model=testdata/fetched/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf prompt="What is the capital of France?" device
	[[ -f $model ]] || model=examples/tinymodel/tiny.gguf prompt="Tell me a story about a dog."
	for device in cuda cpu; do
		echo "$device: $(within "$bin/chat" -model "$model" -p "$prompt" -n "${LLAMA31_H200_TOKENS:-40}" -temp 0 -device $device)" || return
	done
	within "$bin/llamabench" -model "$model" -device cuda ${LLAMA31_H200_BENCH:-}
}

# synthetic measures a model of a size and type with random weights.
synthetic() {
	local size=${1%:*} type=${1#*:} status
	local file=$models/$size-$type.gguf
	[[ -f $file ]] || within "$bin/synth" -o "$file" -size "$size" -type "$type" || return
	within "$bin/llamabench" -model "$file" -device cuda -r 3 ${LLAMA31_H200_BENCH:-}
	status=$?
	[[ -n ${LLAMA31_H200_FOLDER:-} ]] || rm -f "$file"
	return $status
}

(($#)) || set -- probe wgmma suite text 8b:q4_k_m 8b:q8_0 8b:bf16 ahead
echo "## $(date -u +%Y-%m-%d)"
for name; do
	case $name in
	probe) step "Probe" 20 within "$bin/gpuprobe" ;;
	wgmma) step "wgmma's bits" 40 tests -test.run TestWgmma ;;
	suite) step "Device suite" 120 tests -test.run 'TestDevice|TestDeterministic|TestSmolLM2|TestSample|TestOverlap|TestLaunches' ;;
	ahead) step "Steps begun ahead" 60 tests -test.run '^$' -test.bench Generate -test.benchtime 20x ;;
	text) step "A small model" 60 text ;;
	*:*) step "Llama 3.1 ${name/:/, }, random weights" 150 synthetic "$name" ;;
	*) echo "no step $name" >&2 && failed=1 ;;
	esac
done
exit $failed
