// How a kernel runs on the host: each thread of a block is a fiber, and fibers change places only where they wait for others.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sim {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;       // of a block
constexpr int kSharedBytes = 256 << 10; // room for a block's shared memory and what separates its arrays
constexpr int kMaxCopies = 256;         // asynchronous copies in flight, of a thread
constexpr int kNamedBarriers = 16;
constexpr int kOnMbarrier = 2 + kNamedBarriers;

struct Block;

// Copy is a cp_async that has not happened yet.
struct Copy {
	void* dst;
	const void* src; // null: zeros
	int group, size;
};

// Mbarrier is what lies in the 8 bytes of one in shared memory. A phase ends when a thread has said how many bytes will come, and they have.
struct Mbarrier {
	uint16_t maker; // the thread that made it
	uint8_t fences; // how many mbarrier_fence it had called by then, modulo 256
	uint8_t parity : 1, expected : 1, mark : 6;
	int32_t bytes; // announced and not there yet
};
constexpr int kMark = 0x2a; // of an mbarrier: fresh shared memory has other bits

// Bulk is a bulk_copy that has not happened yet.
struct Bulk {
	void* dst;
	const void* src;
	int size;
	Block* block;
	Mbarrier* barrier;
};

// Warp is what the 32 threads of a warp meet over.
struct Warp {
	int arrived;
	int kind;   // of the operation that the first to arrive is in
	int parity; // the half of slot in use: a lane may be one operation ahead of others, never two
	alignas(64) unsigned char slot[2][2048];
};

struct Barrier {
	int arrived, expected;
};

struct Thread {
	void* sp; // saved stack pointer
	Block* block;
	Warp* warp;
	int tid, lane;
	bool alive;
	int waiting; // 0: no; 1: for the warp; 2 + i: for barrier i; kOnMbarrier
	const Mbarrier* mbarrier;
	uint8_t fences;
	int copies, group;
	Copy copy[kMaxCopies];
};

struct SharedArray {
	const void* site;
	unsigned char* data;
	size_t size;
};

struct Block {
	int x, y, z;
	int threads, alive;
	Barrier barrier[kNamedBarriers]; // 0 is sync_threads
	unsigned char* shared;           // [kSharedBytes]
	size_t dynamic, used;
	SharedArray arrays[64];
	int numArrays;
	Thread* thread; // [threads]
	Warp* warp;     // [threads / 32]
};

struct Grid {
	int x, y, z, threads;
	size_t shared; // dynamic bytes
	bool cooperative;
};

// The thread that runs now, and its grid. Kernels run on one thread of the host at a time.
extern Thread* current;
extern Grid grid;

typedef void (*Body)(const void* params);

// Kernel is a function of a .cu file, by its name.
struct Kernel {
	const char* name;
	size_t params;
	Body body;
	Kernel* next;
	Kernel(const char* name, size_t params, Body body);
};
Kernel* find(const char* name);

// run executes a grid. It gives null, or what went wrong (then the grid was given up half-way); *fault is set for a bad address.
const char* run(const Kernel* k, const Grid& g, const void* params, uint64_t seed, bool* fault);

// What threads call. fail ends the grid.
[[noreturn]] void fail(const char* format, ...);
uint32_t draw(); // of the seeded generator
void yield();
void wait_barrier(int id, int threads);
void mbarrier_init(void* barrier);
void mbarrier_fence();
void mbarrier_expect(void* barrier, int bytes);
void mbarrier_wait(void* barrier, int parity);
void bulk_copy(void* shared, const void* global, int bytes, void* barrier);
// meet counts a lane as arrived at a warp operation. The last of the 32 gets true, does what there is to do for all, and calls
// release; the others come back after that.
bool meet(int kind);
void release();
void* shared_array(const void* site, size_t size);
void* shared_dynamic();

// describe says in words what lies at an address of simulated device memory; the driver has it.
const char* describe(const void* address);

} // namespace sim
