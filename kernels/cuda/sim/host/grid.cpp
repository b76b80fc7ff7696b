#include "grid.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

// sim_switch saves the running context to *from and goes on with the one at to. What a function must preserve lies on the stack.
extern "C" void sim_switch(void** from, void* to);
extern "C" void sim_start(); // the first frame of a fiber
#if defined(__x86_64__)
asm(R"(
.text
.globl sim_switch
.hidden sim_switch
sim_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl sim_switch
.hidden sim_switch
sim_switch:
	sub sp, sp, #160
	stp x19, x20, [sp]
	stp x21, x22, [sp, #16]
	stp x23, x24, [sp, #32]
	stp x25, x26, [sp, #48]
	stp x27, x28, [sp, #64]
	stp x29, x30, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	mov x9, sp
	str x9, [x0]
	mov sp, x1
	ldp x19, x20, [sp]
	ldp x21, x22, [sp, #16]
	ldp x23, x24, [sp, #32]
	ldp x25, x26, [sp, #48]
	ldp x27, x28, [sp, #64]
	ldp x29, x30, [sp, #80]
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	add sp, sp, #160
	ret
)");
#else
#error "fibers are written for amd64 and arm64"
#endif

namespace sim {

Thread* current;
Grid grid;

namespace {

constexpr size_t kStack = 128 << 10, kPage = 4096, kColour = 384;

Kernel* kernels;

// Slot is the memory of one resident block; slots are kept between launches.
struct Slot {
	Block block;
	std::vector<Thread> threads;
	std::vector<Warp> warps;
	unsigned char* stacks; // [kMaxThreads][kPage + kStack], the page below each stack out of reach
};
std::vector<std::unique_ptr<Slot>> slots;

Slot* slot(size_t i) {
	while (slots.size() <= i) {
		auto s = std::make_unique<Slot>();
		s->threads.resize(kMaxThreads);
		s->warps.resize(kMaxThreads / kWarp);
		size_t size = kMaxThreads * (kPage + kStack);
		s->stacks = (unsigned char*)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		for (int t = 0; t < kMaxThreads; t++) mprotect(s->stacks + t * (kPage + kStack), kPage, PROT_NONE);
		s->block.shared = (unsigned char*)aligned_alloc(1024, kSharedBytes);
		slots.push_back(std::move(s));
	}
	return slots[i].get();
}

// ready are the threads that can go on, in order; a power of two in size.
std::vector<Thread*> ready;
size_t readyHead, readyTail, readyMask;

void push(Thread* t) { ready[readyTail++ & readyMask] = t; }

void* mainStack;
const void* params;
Body body;
uint64_t random_;
int live; // threads of resident blocks

char message[1024];
bool failed, faulted;
pthread_t host;
volatile bool running;
alignas(16) unsigned char emergency[64 << 10]; // the stack on which a faulting grid is given up

// wake makes the threads of a block that wait for the same ready: from a random thread on, up or down, so that no order can be relied on.
void wake(Block* b, int waiting, const Mbarrier* m) {
	int n = b->threads, at = draw() % n, step = draw() & 1 ? 1 : n - 1;
	for (int i = 0; i < n; i++, at = (at + step) % n) {
		Thread* t = &b->thread[at];
		if (t->waiting == waiting && (!m || t->mbarrier == m)) t->waiting = 0, push(t);
	}
}

std::vector<Bulk> bulks; // of the resident blocks, on their way

// endPhase ends the phase of a block's mbarrier if it can.
void endPhase(Block* block, Mbarrier* b) {
	if (!b->expected) return;
	if (b->bytes < 0) fail("an mbarrier got %d bytes more than mbarrier_expect announced", -b->bytes);
	if (b->bytes > 0) return;
	b->expected = 0, b->parity ^= 1;
	wake(block, kOnMbarrier, b);
}

// arrive finishes the last bulk copy.
void arrive() {
	Bulk c = bulks.back();
	bulks.pop_back();
	memcpy(c.dst, c.src, c.size);
	c.barrier->bytes -= c.size;
	endPhase(c.block, c.barrier);
}

void arriveAny() {
	std::swap(bulks[draw() % bulks.size()], bulks.back());
	arrive();
}

// next goes on with the first ready thread. Where none is, a bulk copy arrives; without one, threads that are left wait for each other.
void next() {
	while (readyHead == readyTail && !bulks.empty()) arriveAny();
	if (readyHead == readyTail) {
		Thread* t = current;
		if (t->waiting == kOnMbarrier) fail("deadlock: %d threads wait, this one for an mbarrier's phase: %d bytes are to come", live, t->mbarrier->bytes);
		fail("deadlock: %d threads wait for others that have ended or diverged (block %d,%d,%d, thread %d among them)", live, t->block->x, t->block->y,
			 t->block->z, t->tid);
	}
	Thread* from = current;
	current = ready[readyHead++ & readyMask];
	if (current != from) sim_switch(&from->sp, current->sp);
}

[[noreturn]] void leave() {
	void* unused;
	sim_switch(&unused, mainStack);
	abort();
}

void releaseBarrier(Block* b, int id) {
	b->barrier[id].arrived = 0;
	wake(b, 2 + id, nullptr);
}

void checkShared(Block* b) {
	for (int i = 0; i < b->numArrays; i++) {
		SharedArray* a = &b->arrays[i];
		for (int j = 0; j < 64; j++)
			if (a->data[a->size + j] != 0xff) fail("a write past the end of a shared array of %zu bytes, %d bytes beyond", a->size, j);
	}
	for (int j = 0; j < 1024; j++)
		if (b->shared[b->dynamic + j] != 0xff) fail("a write past the end of %zu bytes of dynamic shared memory, %d bytes beyond", b->dynamic, j);
}

void begin(Slot* s, int index) {
	Block* b = &s->block;
	b->x = index % grid.x, b->y = index / grid.x % grid.y, b->z = index / grid.x / grid.y;
	b->threads = b->alive = grid.threads;
	b->thread = s->threads.data(), b->warp = s->warps.data();
	memset(b->barrier, 0, sizeof b->barrier);
	b->dynamic = grid.shared;
	b->used = (grid.shared + 1024 + 63) & ~(size_t)63;
	b->numArrays = 0;
	memset(b->shared, 0xff, b->used); // NaN in every format
	for (int w = 0; w < grid.threads / kWarp; w++) b->warp[w].arrived = b->warp[w].parity = 0;
	for (int i = 0; i < grid.threads; i++) {
		Thread* t = &b->thread[i];
		t->block = b, t->warp = &b->warp[i / kWarp], t->tid = i, t->lane = i % kWarp;
		t->alive = true, t->waiting = t->copies = t->group = t->fences = 0;
		// Stacks begin in different sets of the cache: at multiples of the page size the 32 of a warp would push each other out of it.
		unsigned char* top = s->stacks + (i + 1) * (kPage + kStack) - i % kWarp * kColour;
#if defined(__x86_64__)
		void** sp = (void**)top - 8; // after ret the stack is as after a call: 8 modulo 16
		memset(sp, 0, 8 * sizeof *sp);
		sp[6] = (void*)sim_start;
#else
		void** sp = (void**)top - 20;
		memset(sp, 0, 20 * sizeof *sp);
		sp[11] = (void*)sim_start; // x30
#endif
		t->sp = sp;
	}
	live += grid.threads;
	int n = grid.threads, at = draw() % n, step = draw() & 1 ? 1 : n - 1;
	for (int i = 0; i < n; i++, at = (at + step) % n) push(&b->thread[at]);
}

// inShared fails unless size bytes at p lie in the block's shared memory.
void inShared(const void* p, size_t size, size_t align, const char* what) {
	auto* b = (const unsigned char*)p;
	if (b < current->block->shared || b + size > current->block->shared + current->block->used) fail("%s %p, which is not in shared memory", what, p);
	if ((uintptr_t)p % align) fail("%s %p, which is not a multiple of %zu", what, p, align);
}

Mbarrier* opened(void* p) {
	inShared(p, sizeof(Mbarrier), 8, "an mbarrier at");
	auto* b = (Mbarrier*)p;
	if (b->mark != kMark) fail("an mbarrier that mbarrier_init has not made");
	return b;
}

void onFault(int sig, siginfo_t* info, void* context);
struct sigaction oldSegv, oldBus;

void catchFaults(bool on) {
	if (!on) {
		sigaction(SIGSEGV, &oldSegv, nullptr);
		sigaction(SIGBUS, &oldBus, nullptr);
		return;
	}
	struct sigaction a = {};
	a.sa_sigaction = onFault;
	a.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGSEGV, &a, &oldSegv);
	sigaction(SIGBUS, &a, &oldBus);
}

void faultExit() { leave(); }

// onFault gives up the grid whose thread touched a bad address; faults of other threads of the program go where they went before.
void onFault(int sig, siginfo_t* info, void* context) {
	if (!running || !pthread_equal(pthread_self(), host)) {
		struct sigaction* old = sig == SIGSEGV ? &oldSegv : &oldBus;
		if (old->sa_flags & SA_SIGINFO) old->sa_sigaction(sig, info, context);
		else signal(sig, SIG_DFL);
		return;
	}
	failed = faulted = true;
	snprintf(message, sizeof message, "block %d,%d,%d, thread %d: the address %p: %s", current->block->x, current->block->y, current->block->z,
			 current->tid, info->si_addr, describe(info->si_addr));
	auto* u = (ucontext_t*)context;
	uintptr_t sp = (uintptr_t)(emergency + sizeof emergency - 256);
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)faultExit;
	u->uc_mcontext.gregs[REG_RSP] = (greg_t)(sp - 8); // as after a call
#else
	u->uc_mcontext.pc = (uintptr_t)faultExit;
	u->uc_mcontext.sp = sp;
#endif
}

} // namespace

Kernel::Kernel(const char* name, size_t params, Body body) : name(name), params(params), body(body), next(kernels) { kernels = this; }

Kernel* find(const char* name) {
	for (Kernel* k = kernels; k; k = k->next)
		if (strcmp(k->name, name) == 0) return k;
	return nullptr;
}

uint32_t draw() { // xorshift64*
	random_ ^= random_ >> 12, random_ ^= random_ << 25, random_ ^= random_ >> 27;
	return (uint32_t)(random_ * 0x2545f4914f6cdd1dull >> 32);
}

void fail(const char* format, ...) {
	va_list args;
	va_start(args, format);
	int n = snprintf(message, sizeof message, "block %d,%d,%d, thread %d: ", current->block->x, current->block->y, current->block->z, current->tid);
	vsnprintf(message + n, sizeof message - n, format, args);
	va_end(args);
	failed = true;
	leave();
}

void yield() {
	if (!bulks.empty()) arriveAny(); // who looks again and again must not keep it away
	push(current);
	next();
}

void wait_barrier(int id, int threads) {
	Block* b = current->block;
	if (id < 0 || id >= kNamedBarriers || threads < 1 || threads % kWarp) fail("barrier %d for %d threads", id, threads);
	Barrier* r = &b->barrier[id];
	if (id == 0) threads = b->alive; // threads that have ended count as arrived
	if (r->arrived == 0) r->expected = threads;
	else if (id != 0 && r->expected != threads) fail("barrier %d for %d threads, others came for %d", id, threads, r->expected);
	if (++r->arrived < threads) {
		current->waiting = 2 + id;
		next();
		return;
	}
	releaseBarrier(b, id);
}

void mbarrier_init(void* barrier) {
	inShared(barrier, sizeof(Mbarrier), 8, "an mbarrier at");
	*(Mbarrier*)barrier = {(uint16_t)current->tid, current->fences, 0, 0, kMark, 0};
}

void mbarrier_fence() { current->fences++; }

void mbarrier_expect(void* barrier, int bytes) {
	Mbarrier* b = opened(barrier);
	if (b->expected) fail("mbarrier_expect twice in a phase");
	if (bytes < 0 || bytes >= 1 << 20) fail("mbarrier_expect of %d bytes", bytes);
	b->expected = 1, b->bytes += bytes;
	endPhase(current->block, b);
}

void mbarrier_wait(void* barrier, int parity) {
	if (parity != 0 && parity != 1) fail("an mbarrier's phase of parity %d", parity);
	for (Mbarrier* b = opened(barrier); b->parity == parity;) { // hardware looks again and again, and does not see a phase that the next one follows
		current->waiting = kOnMbarrier, current->mbarrier = b;
		next();
	}
}

// A copy happens at once or when everything waits, as the seed says: hardware promises only that it is between. Until then NaN is there.
void bulk_copy(void* shared, const void* global, int bytes, void* barrier) {
	if (bytes <= 0 || bytes % 16) fail("a bulk copy of %d bytes, which is not a multiple of 16", bytes);
	inShared(shared, bytes, 16, "a bulk copy to");
	if ((uintptr_t)global % 16) fail("a bulk copy from the address %p, which is not a multiple of 16", global);
	Mbarrier* b = opened(barrier);
	if (current->block->thread[b->maker].fences == b->fences) fail("a bulk copy with an mbarrier that its maker has not put behind mbarrier_fence");
	memset(shared, 0xff, bytes);
	bulks.push_back({shared, global, bytes, current->block, b});
	if (draw() & 1) arrive();
}

bool meet(int kind) {
	Warp* w = current->warp;
	if (w->arrived == 0) w->kind = kind;
	else if (w->kind != kind) fail("the warp has diverged: lane %d is in another warp operation (%d) than lanes before it (%d)", current->lane, kind, w->kind);
	if (++w->arrived == kWarp) return true;
	current->waiting = 1;
	next();
	return false;
}

void release() {
	Warp* w = current->warp;
	w->arrived = 0;
	w->parity ^= 1;
	Thread* first = current - current->lane;
	uint32_t start = draw(), step = start >> 8 | 1;
	for (uint32_t i = 0; i < kWarp; i++) {
		Thread* t = first + ((start + i * step) & 31);
		if (t != current) t->waiting = 0, push(t);
	}
}

void* shared_array(const void* site, size_t size) {
	Block* b = current->block;
	for (int i = 0; i < b->numArrays; i++)
		if (b->arrays[i].site == site) return b->arrays[i].data;
	size_t need = (size + 64 + 63) & ~(size_t)63;
	if (b->used + need > kSharedBytes || b->numArrays == 64) fail("too much shared memory: %zu bytes more", size);
	unsigned char* p = b->shared + b->used;
	memset(p, 0xff, need);
	b->used += need;
	b->arrays[b->numArrays++] = {site, p, size};
	return p;
}

void* shared_dynamic() { return current->block->shared; }

const char* run(const Kernel* k, const Grid& g, const void* p, uint64_t seed, bool* fault) {
	grid = g;
	params = p, body = k->body;
	random_ = seed * 0x9e3779b97f4a7c15ull + 0xd1b54a32d192ed03ull;
	failed = faulted = false;
	int blocks = g.x * g.y * g.z;
	int resident = g.cooperative ? blocks : 1;
	size_t need = 1024;
	while (need < (size_t)resident * g.threads + 64) need *= 2;
	if (ready.size() < need) ready.resize(need);
	readyMask = ready.size() - 1;
	host = pthread_self();
	catchFaults(true);
	running = true;
	// Blocks in a seeded order too.
	int at = draw() % blocks, step = draw() & 1 ? 1 : blocks - 1;
	for (int done = 0; done < blocks && !failed;) {
		readyHead = readyTail = 0;
		live = 0;
		bulks.clear();
		for (int i = 0; i < resident; i++, done++, at = (at + step) % blocks) begin(slot(i), at);
		current = ready[readyHead++ & readyMask];
		sim_switch(&mainStack, current->sp);
	}
	running = false;
	catchFaults(false);
	*fault = faulted;
	return failed ? message : nullptr;
}

} // namespace sim

// sim_start runs one thread to its end.
extern "C" void sim_start() {
	using namespace sim;
	body(params);
	Thread* t = current;
	Block* b = t->block;
	t->alive = false;
	live--;
	if (--b->alive == 0) {
		for (auto& c : bulks)
			if (c.block == b) fail("a block has ended before a bulk copy that it asked for");
		checkShared(b);
	} else if (b->barrier[0].arrived == b->alive && b->alive > 0) releaseBarrier(b, 0);
	if (live == 0) leave();
	next();
	abort();
}
