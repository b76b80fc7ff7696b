// A CUDA driver for tests: the functions of libcuda that kernels/cuda calls, on the host. Work put into a stream runs as late as it
// may (when something waits for it) or earlier, as the seed says, so that a missing synchronisation is seen. Device memory lies
// between pages out of reach and starts as NaN. What a real driver would forgive is refused here.

#include "grid.h"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

namespace {

enum Result {
	kOK = 0,
	kInvalidValue = 1,
	kOutOfMemory = 2,
	kNoDevice = 100,
	kInvalidDevice = 101,
	kInvalidContext = 201,
	kNoBinary = 209,
	kInvalidPTX = 218,
	kPTXVersion = 222,
	kInvalidHandle = 400,
	kNotFound = 500,
	kNotReady = 600,
	kIllegalAddress = 700,
	kOutOfResources = 701,
	kPeerEnabled = 704,
	kCooperativeTooLarge = 720,
	kLaunchFailed = 719,
	kNotSupported = 801,
	kCaptureUnsupported = 900,
	kCaptureInvalidated = 901,
	kUpdateFailure = 910,
};

const std::map<int, std::pair<const char*, const char*>> kTexts = {
	{kOK, {"CUDA_SUCCESS", "no error"}},
	{kInvalidValue, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
	{kOutOfMemory, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
	{kNoDevice, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
	{kInvalidDevice, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
	{kInvalidContext, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
	{kNoBinary, {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"}},
	{kInvalidPTX, {"CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"}},
	{kPTXVersion, {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."}},
	{kInvalidHandle, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
	{kNotFound, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
	{kNotReady, {"CUDA_ERROR_NOT_READY", "device not ready"}},
	{kIllegalAddress, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
	{kOutOfResources, {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"}},
	{kPeerEnabled, {"CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"}},
	{kCooperativeTooLarge, {"CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"}},
	{kLaunchFailed, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
	{kNotSupported, {"CUDA_ERROR_NOT_SUPPORTED", "operation not supported"}},
	{kCaptureUnsupported, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
	{kCaptureInvalidated, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}},
	{kUpdateFailure, {"CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph update was not performed because it included changes which violated constraints"}},
};

// Options of the simulated machine: sim_reset's text, "name=value" apart by spaces, over the environment's LLAMA31_SIM_NAME.
struct Options {
	long devices = 1, memory = 1l << 30, seed = 1, capability = 80, driver = 12040, sms = 4, ptx = 84;
	long fail_launch = 0; // the launch of that number, from 1, fails when it runs
	long fail_alloc = 0;  // the allocation of that number fails for lack of memory
	long fail_host = 0;   // the pinned allocation of that number fails
	long fail_event = 0;  // the event of that number cannot be made
	long fail_graphs = 0; // 1: there is no memory for any graph
	long lazy = 1;        // 0: work runs when it is put into a stream
	long verbose = 0;     // 1: what is refused goes to standard error too
} options;

// What a test may read: see the struct of the same fields in package sim.
struct Counters {
	int64_t allocs, frees, hostAllocs, hostFrees, streams, streamsFreed, events, eventsFreed, modules, modulesFreed, graphs, graphsFreed,
		contexts, contextsReleased, launches, kernels, graphLaunches, bytes, peak;
} counters;

std::recursive_mutex mutex; // one call at a time
std::string lastError;

struct Range {
	size_t size;
	unsigned char *map, *data;
	size_t mapped;
	int device; // -1: pinned host memory
};
std::map<uintptr_t, Range> ranges; // by the address of data

constexpr size_t kPage = 4096;
constexpr size_t kFilled = 128 << 20; // of a larger allocation only the start is NaN: the rest would cost time and memory

// take maps size bytes so that their end, rounded up to align, is the end of a page, with pages out of reach on both sides.
unsigned char* take(size_t size, size_t align, int device, int fill) {
	size_t room = (size + align - 1) / align * align, pages = (room + kPage - 1) / kPage * kPage;
	auto* map = (unsigned char*)mmap(nullptr, pages + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED || mprotect(map + kPage, pages, PROT_READ | PROT_WRITE) != 0) return nullptr;
	unsigned char* data = map + kPage + pages - room;
	memset(map + kPage, 0xff, pages - room);
	if (fill) memset(data, fill, std::min(size, kFilled)); // fresh pages are zeros
	memset(data + size, 0xff, room - size);
	ranges[(uintptr_t)data] = {size, map, data, pages + 2 * kPage, device};
	return data;
}

// overrun says whether bytes outside a range, but not out of reach, were written.
bool overrun(const Range& r) {
	for (unsigned char* p = r.map + kPage; p < r.data; p++)
		if (*p != 0xff) return true;
	for (unsigned char* p = r.data + r.size; p < r.map + r.mapped - kPage; p++)
		if (*p != 0xff) return true;
	return false;
}

// within gives the range that holds all of size bytes at p.
const Range* within(uintptr_t p, size_t size) {
	auto it = ranges.upper_bound(p);
	if (it == ranges.begin()) return nullptr;
	--it;
	return p + size <= it->first + it->second.size && p + size >= p ? &it->second : nullptr;
}

bool onDevice(uintptr_t p, size_t size) {
	const Range* r = within(p, size);
	return r && r->device >= 0;
}

struct Context;
struct Stream;

// Moment is what an event stands for since it was recorded.
struct Moment {
	Stream* stream;
	bool done = false;
	std::chrono::steady_clock::time_point time;
	std::shared_ptr<struct Graph> capture; // recorded in a stream that was capturing into this
};

struct Op {
	enum Kind { kCopy, kFill, kKernel, kRecord, kWait } kind;
	const sim::Kernel* kernel;
	std::function<int()> run;
};

struct Graph {
	std::vector<Op> ops;
	bool invalid = false;
};

struct Context {
	int device, references = 0;
	int error = 0; // sticky
	std::set<Stream*> streams;
	std::set<int> peers;
	int64_t used = 0;
};

struct Stream {
	Context* context;
	std::deque<Op> ops;
	std::shared_ptr<Graph> capture;
	bool origin = false; // of the capture
};

struct Event {
	Context* context;
	bool timing;
	std::shared_ptr<Moment> moment;
};

struct Function {
	struct Module* module;
	const sim::Kernel* kernel;
	std::string name;
	int maxDynamic = 48 << 10;
};

struct Module {
	Context* context;
	int arch; // of its PTX
	std::set<std::string> entries;
	std::map<std::string, std::unique_ptr<Function>> functions;
};

struct GraphExec {
	Context* context;
	Graph graph;
};

std::map<int, std::unique_ptr<Context>> contexts;
thread_local Context* now;
std::set<void*> handles; // every live stream, event, module, function, graph and executable graph

template <class T>
T* handle(void* h) {
	return handles.count(h) ? (T*)h : nullptr;
}

int note(int code, const char* format, ...) {
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	lastError = text;
	if (options.verbose) fprintf(stderr, "simulated driver: %s\n", text);
	return code;
}

uint64_t seed() {
	static uint64_t n;
	return (uint64_t)options.seed * 1000003 + n++;
}

// one runs the first of the stream's work.
int one(Stream* s) {
	Op op = std::move(s->ops.front());
	s->ops.pop_front();
	if (s->context->error) return s->context->error;
	int r = op.run();
	if (r != kOK && s->context->error == 0) s->context->error = r;
	return s->context->error;
}

int drain(Stream* s) {
	while (!s->ops.empty()) one(s);
	return s->context->error;
}

int drain(Context* c) {
	for (Stream* s : c->streams) drain(s);
	return c->error;
}

int reach(Moment* m) {
	while (!m->done && handles.count(m->stream) && !m->stream->ops.empty())
		if (int e = one(m->stream)) return e;
	return kOK;
}

// put adds work to a stream, or to what it captures.
int put(Stream* s, Op op) {
	if (s->capture) {
		s->capture->ops.push_back(std::move(op));
		return kOK;
	}
	s->ops.push_back(std::move(op));
	if (options.lazy == 0 || s->ops.size() > 10000) return drain(s);
	if (seed() * 0x9e3779b97f4a7c15ull >> 62 == 0) // one time in four a piece runs now
		one(s);
	return kOK; // an error comes out at the next call
}

// ready says whether work can be put into a stream by the thread that asks.
int ready(void* stream, Stream** s) {
	if (!now) return note(kInvalidContext, "no context is current to this thread");
	if (now->error) return now->error;
	*s = handle<Stream>(stream);
	if (!*s || (*s)->context != now) return note(kInvalidHandle, "the stream is not of the current context");
	return kOK;
}

int entered() {
	if (!now) return note(kInvalidContext, "no context is current to this thread");
	return now->error;
}

void configure(const char* name, const char* value) {
	const std::pair<const char*, long*> names[] = {
		{"devices", &options.devices}, {"memory", &options.memory}, {"seed", &options.seed}, {"capability", &options.capability},
		{"driver", &options.driver}, {"sms", &options.sms}, {"ptx", &options.ptx}, {"fail_launch", &options.fail_launch},
		{"fail_alloc", &options.fail_alloc}, {"fail_host", &options.fail_host}, {"fail_event", &options.fail_event}, {"fail_graphs", &options.fail_graphs}, {"lazy", &options.lazy}, {"verbose", &options.verbose}};
	for (auto& n : names)
		if (strcmp(n.first, name) == 0) *n.second = atol(value);
}

void fromEnvironment() {
	options = Options();
	for (const char* n : {"devices", "memory", "seed", "capability", "driver", "sms", "ptx", "fail_launch", "fail_alloc", "fail_host", "fail_event", "fail_graphs", "lazy", "verbose"}) {
		std::string variable = "LLAMA31_SIM_";
		for (const char* c = n; *c; c++) variable += (char)toupper(*c);
		if (const char* v = getenv(variable.c_str())) configure(n, v);
	}
}

struct AtStart {
	AtStart() { fromEnvironment(); }
} atStart;

typedef std::lock_guard<std::recursive_mutex> Lock;

} // namespace

const char* sim::describe(const void* address) {
	static char text[256];
	auto a = (uintptr_t)address;
	for (auto& r : ranges) {
		uintptr_t begin = (uintptr_t)r.second.map, end = begin + r.second.mapped;
		if (a < begin || a >= end) continue;
		const char* what = r.second.device < 0 ? "pinned memory" : "device memory";
		if (a >= r.first + r.second.size) snprintf(text, sizeof text, "%zu bytes past the end of %zu bytes of %s", a - r.first - r.second.size, r.second.size, what);
		else snprintf(text, sizeof text, "%zu bytes before %zu bytes of %s", r.first - a, r.second.size, what);
		return text;
	}
	return "no memory of any device, or freed";
}

// sim_reset sets the simulated machine and the counters to their start. It fails (1) while something is in use.
API sim_reset(const char* text) {
	Lock lock(mutex);
	if (!handles.empty() || !ranges.empty() || !contexts.empty()) return 1;
	fromEnvironment();
	counters = Counters();
	lastError.clear();
	std::string s(text ? text : "");
	for (size_t at = 0; at < s.size();) {
		size_t end = std::min(s.find(' ', at), s.size()), equal = s.find('=', at);
		if (equal < end) configure(s.substr(at, equal - at).c_str(), s.substr(equal + 1, end - equal - 1).c_str());
		at = end + 1;
	}
	return 0;
}

// sim_counters copies at most size bytes of Counters.
API sim_counters(void* to, size_t size) {
	Lock lock(mutex);
	memcpy(to, &counters, std::min(size, sizeof counters));
	return 0;
}

// sim_last_error copies what was wrong in more words than CUDA has.
API sim_last_error(char* to, size_t size) {
	Lock lock(mutex);
	snprintf(to, size, "%s", lastError.c_str());
	return 0;
}

API cuInit(unsigned) { return options.devices > 0 ? kOK : kNoDevice; }
API cuDriverGetVersion(int* v) { return *v = (int)options.driver, kOK; }

API cuGetErrorName(int code, const char** name) {
	auto it = kTexts.find(code);
	return it == kTexts.end() ? (*name = nullptr, kInvalidValue) : (*name = it->second.first, kOK);
}
API cuGetErrorString(int code, const char** text) {
	auto it = kTexts.find(code);
	return it == kTexts.end() ? (*text = nullptr, kInvalidValue) : (*text = it->second.second, kOK);
}

API cuDeviceGetCount(int* n) { return *n = (int)options.devices, kOK; }
API cuDeviceGet(int* device, int i) { return i < 0 || i >= options.devices ? kInvalidDevice : (*device = i, kOK); }
API cuDeviceGetName(char* name, int size, int) { return snprintf(name, size, "Simulated GPU"), kOK; }
API cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = (size_t)options.memory, kOK; }
API cuDeviceCanAccessPeer(int* can, int a, int b) { return *can = a != b, kOK; }

API cuDeviceGetAttribute(int* v, int attribute, int) {
	switch (attribute) {
	case 16: *v = (int)options.sms; break;
	case 38: *v = 4 << 20; break;
	case 75: *v = (int)options.capability / 10; break;
	case 76: *v = (int)options.capability % 10; break;
	case 95: *v = 1; break;
	case 97: *v = options.capability >= 90 ? 227 << 10 : options.capability == 80 ? 163 << 10 : 99 << 10; break;
	default: return note(kInvalidValue, "device attribute %d", attribute);
	}
	return kOK;
}

API cuDevicePrimaryCtxRetain(Context** c, int device) {
	Lock lock(mutex);
	auto& p = contexts[device];
	if (!p) p = std::make_unique<Context>();
	p->device = device;
	p->references++;
	counters.contexts++;
	*c = p.get();
	return kOK;
}

API cuDevicePrimaryCtxRelease_v2(int device) {
	Lock lock(mutex);
	auto it = contexts.find(device);
	if (it == contexts.end()) return kInvalidContext;
	counters.contextsReleased++;
	if (--it->second->references > 0) return kOK;
	drain(it->second.get());
	if (now == it->second.get()) now = nullptr;
	// What was not freed goes with the context, but the counters tell.
	for (auto r = ranges.begin(); r != ranges.end();)
		if (r->second.device == device) munmap(r->second.map, r->second.mapped), r = ranges.erase(r);
		else ++r;
	contexts.erase(it);
	return kOK;
}

API cuCtxSetCurrent(Context* c) { return now = c, kOK; }

API cuCtxEnablePeerAccess(Context* peer, unsigned) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	return now->peers.insert(peer->device).second ? kOK : kPeerEnabled;
}

API cuMemGetInfo_v2(size_t* free, size_t* total) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	*total = (size_t)options.memory;
	*free = (size_t)(options.memory - now->used);
	return kOK;
}

API cuMemAlloc_v2(uintptr_t* p, size_t size) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	if (size == 0) return kInvalidValue;
	int64_t room = (int64_t)(size + 511) & ~511ll;
	counters.allocs++;
	if (now->used + room > options.memory || counters.allocs == options.fail_alloc) return counters.allocs--, kOutOfMemory;
	unsigned char* data = take(size, 256, now->device, 0xff);
	if (!data) return counters.allocs--, kOutOfMemory;
	now->used += room;
	counters.bytes += room;
	counters.peak = std::max(counters.peak, counters.bytes);
	*p = (uintptr_t)data;
	return kOK;
}

API cuMemFree_v2(uintptr_t p) {
	Lock lock(mutex);
	if (!now) return kInvalidContext;
	int e = drain(now);
	auto it = ranges.find(p);
	if (it == ranges.end() || it->second.device != now->device) return e ? e : note(kInvalidValue, "free of an address that was not allocated");
	bool bad = overrun(it->second);
	int64_t room = (int64_t)(it->second.size + 511) & ~511ll;
	now->used -= room;
	counters.bytes -= room;
	counters.frees++;
	munmap(it->second.map, it->second.mapped);
	ranges.erase(it);
	if (bad && !e) return now->error = note(kIllegalAddress, "bytes around an allocation were written");
	return e;
}

API cuMemHostAlloc(void** p, size_t size, unsigned) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	*p = counters.hostAllocs + 1 == options.fail_host ? nullptr : take(size, 64, -1, 0);
	if (!*p) return kOutOfMemory;
	counters.hostAllocs++;
	return kOK;
}

API cuMemFreeHost(void* p) {
	Lock lock(mutex);
	if (!now) return kInvalidContext;
	int e = drain(now);
	auto it = ranges.find((uintptr_t)p);
	if (it == ranges.end() || it->second.device >= 0) return kInvalidValue;
	counters.hostFrees++;
	munmap(it->second.map, it->second.mapped);
	ranges.erase(it);
	return e;
}

API cuMemcpyHtoDAsync_v2(uintptr_t dst, const void* src, size_t size, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	if (!onDevice(dst, size)) return note(kInvalidValue, "copy of %zu bytes to %s", size, sim::describe((void*)dst));
	if (within((uintptr_t)src, size)) return put(s, {Op::kCopy, nullptr, [=] { return memcpy((void*)dst, src, size), kOK; }});
	if (s->capture) return s->capture->invalid = true, note(kCaptureUnsupported, "a captured copy from memory that is not pinned");
	auto staged = std::make_shared<std::vector<unsigned char>>((unsigned char*)src, (unsigned char*)src + size);
	return put(s, {Op::kCopy, nullptr, [=] { return memcpy((void*)dst, staged->data(), size), kOK; }});
}

API cuMemcpyDtoHAsync_v2(void* dst, uintptr_t src, size_t size, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	if (!onDevice(src, size)) return note(kInvalidValue, "copy of %zu bytes from %s", size, sim::describe((void*)src));
	bool isPinned = within((uintptr_t)dst, size) != nullptr;
	if (s->capture && !isPinned) return s->capture->invalid = true, note(kCaptureUnsupported, "a captured copy to memory that is not pinned");
	int e = put(s, {Op::kCopy, nullptr, [=] { return memcpy(dst, (void*)src, size), kOK; }});
	return isPinned || s->capture || e ? e : drain(s); // to other memory the driver waits
}

API cuMemcpyDtoDAsync_v2(uintptr_t dst, uintptr_t src, size_t size, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	if (!onDevice(dst, size) || !onDevice(src, size)) return note(kInvalidValue, "copy of %zu bytes outside an allocation", size);
	return put(s, {Op::kCopy, nullptr, [=] { return memmove((void*)dst, (void*)src, size), kOK; }});
}

API cuMemcpyPeerAsync(uintptr_t dst, Context* to, uintptr_t src, Context* from, size_t size, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	const Range *d = within(dst, size), *f = within(src, size);
	if (!d || !f || d->device != to->device || f->device != from->device) return note(kInvalidValue, "peer copy of %zu bytes outside its devices", size);
	return put(s, {Op::kCopy, nullptr, [=] { return memmove((void*)dst, (void*)src, size), kOK; }});
}

API cuMemsetD8Async(uintptr_t dst, unsigned char v, size_t n, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	if (!onDevice(dst, n)) return note(kInvalidValue, "fill of %zu bytes outside an allocation", n);
	return put(s, {Op::kFill, nullptr, [=] { return memset((void*)dst, v, n), kOK; }});
}

API cuMemsetD32Async(uintptr_t dst, unsigned v, size_t n, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	if (!onDevice(dst, 4 * n) || dst % 4) return note(kInvalidValue, "fill of %zu words outside an allocation", n);
	return put(s, {Op::kFill, nullptr, [=] { return std::fill_n((uint32_t*)dst, n, v), kOK; }});
}

API cuStreamCreate(Stream** s, unsigned) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	*s = new Stream{now, {}, nullptr};
	now->streams.insert(*s);
	handles.insert(*s);
	counters.streams++;
	return kOK;
}

API cuStreamDestroy_v2(void* h) {
	Lock lock(mutex);
	Stream* s = handle<Stream>(h);
	if (!s) return kInvalidHandle;
	int e = drain(s);
	s->context->streams.erase(s);
	handles.erase(s);
	delete s;
	counters.streamsFreed++;
	return e;
}

API cuStreamSynchronize(void* h) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(h, &s)) return e;
	if (s->capture) return s->capture->invalid = true, note(kCaptureUnsupported, "cuStreamSynchronize of a stream that is capturing");
	return drain(s);
}

API cuStreamWaitEvent(void* h, void* event, unsigned) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(h, &s)) return e;
	Event* ev = handle<Event>(event);
	if (!ev) return kInvalidHandle;
	auto m = ev->moment;
	if (!m) return kOK; // never recorded
	if (m->capture) {
		if (s->capture && s->capture != m->capture) return kInvalidValue;
		s->capture = m->capture; // the stream joins; the graph keeps the order in which work came
		return kOK;
	}
	if (s->capture) return note(kCaptureUnsupported, "a captured wait for an event of outside");
	return put(s, {Op::kWait, nullptr, [m] { return reach(m.get()); }});
}

API cuEventCreate(Event** e, unsigned flags) {
	Lock lock(mutex);
	if (int r = entered()) return r;
	if (counters.events + 1 == options.fail_event) return kOutOfMemory;
	*e = new Event{now, (flags & 2) == 0, nullptr};
	handles.insert(*e);
	counters.events++;
	return kOK;
}

API cuEventDestroy_v2(void* h) {
	Lock lock(mutex);
	Event* e = handle<Event>(h);
	if (!e) return kInvalidHandle;
	handles.erase(e);
	delete e;
	counters.eventsFreed++;
	return kOK;
}

API cuEventRecord(void* h, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	Event* ev = handle<Event>(h);
	if (!ev || ev->context != s->context) return kInvalidHandle;
	auto m = std::make_shared<Moment>();
	m->stream = s;
	ev->moment = m;
	if (s->capture) return m->capture = s->capture, kOK;
	return put(s, {Op::kRecord, nullptr, [m] { return m->done = true, m->time = std::chrono::steady_clock::now(), kOK; }});
}

API cuEventSynchronize(void* h) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	Event* ev = handle<Event>(h);
	if (!ev) return kInvalidHandle;
	return ev->moment ? reach(ev->moment.get()) : (int)kOK;
}

API cuEventQuery(void* h) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	Event* ev = handle<Event>(h);
	if (!ev) return kInvalidHandle;
	if (!ev->moment || ev->moment->done) return kOK;
	if (!ev->moment->stream->ops.empty()) // a little happens while one waits
		if (int e = one(ev->moment->stream)) return e;
	return ev->moment->done ? kOK : kNotReady;
}

API cuEventElapsedTime(float* ms, void* from, void* to) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	Event *a = handle<Event>(from), *b = handle<Event>(to);
	if (!a || !b || !a->timing || !b->timing || !a->moment || !b->moment) return kInvalidHandle;
	if (!a->moment->done || !b->moment->done) return kNotReady;
	*ms = std::chrono::duration<float, std::milli>(b->moment->time - a->moment->time).count();
	return kOK;
}

API cuModuleLoadDataEx(Module** out, const void* image, unsigned n, const unsigned* names, void** values) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	if (memcmp(image, "\x7f" "ELF", 4) == 0) return kNoBinary; // machine code cannot run here: the caller goes on to PTX
	std::string text((const char*)image);
	auto bad = [&](int code, const std::string& why) {
		for (unsigned i = 0; i < n; i++)
			if (names[i] == 5)
				for (unsigned j = 0; j < n; j++)
					if (names[j] == 6) snprintf((char*)values[i], (size_t)values[j], "ptxas fatal: %s", why.c_str());
		return note(code, "%s", why.c_str());
	};
	auto word = [&](const char* directive) {
		size_t at = text.find(directive);
		if (at == std::string::npos) return std::string();
		at = text.find_first_not_of(" \t", at + strlen(directive));
		return text.substr(at, text.find_first_of(" \t\r\n,(", at) - at);
	};
	std::string version = word(".version"), target = word(".target");
	int major = 0, minor = 0, arch = 0;
	if (sscanf(version.c_str(), "%d.%d", &major, &minor) != 2 || sscanf(target.c_str(), "sm_%d", &arch) != 1)
		return bad(kInvalidPTX, "Missing .version or .target directive");
	if (10 * major + minor > options.ptx) return bad(kPTXVersion, "Unsupported .version " + version);
	bool exact = target.back() == 'a';
	if (exact ? arch != options.capability : arch > options.capability) return bad(kNoBinary, "PTX for " + target);
	auto m = std::make_unique<Module>();
	m->context = now, m->arch = arch;
	for (size_t at = 0; (at = text.find(".entry", at)) != std::string::npos;) {
		at = text.find_first_not_of(" \t", at + 6);
		m->entries.insert(text.substr(at, text.find_first_of(" \t\r\n(", at) - at));
	}
	if (m->entries.empty()) return bad(kInvalidPTX, "no .entry");
	*out = m.release();
	handles.insert(*out);
	counters.modules++;
	return kOK;
}

API cuModuleUnload(void* h) {
	Lock lock(mutex);
	Module* m = handle<Module>(h);
	if (!m) return kInvalidHandle;
	int e = drain(m->context);
	for (auto& f : m->functions) handles.erase(f.second.get());
	handles.erase(m);
	delete m;
	counters.modulesFreed++;
	return e;
}

API cuModuleGetFunction(Function** out, void* h, const char* name) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	Module* m = handle<Module>(h);
	if (!m) return kInvalidHandle;
	if (!m->entries.count(name)) return note(kNotFound, "the module has no kernel %s", name);
	const sim::Kernel* k = sim::find(name);
	if (!k) return note(kNotFound, "the PTX has a kernel %s, the simulated driver was built without it", name);
	auto& f = m->functions[name];
	if (!f) f.reset(new Function{m, k, name});
	handles.insert(f.get());
	*out = f.get();
	return kOK;
}

API cuFuncGetAttribute(int* v, int attribute, void* h) {
	Lock lock(mutex);
	if (!handle<Function>(h)) return kInvalidHandle;
	*v = attribute == 4 ? 32 : attribute == 0 ? 1024 : 0;
	return kOK;
}

API cuFuncSetAttribute(void* h, int attribute, int v) {
	Lock lock(mutex);
	Function* f = handle<Function>(h);
	if (!f) return kInvalidHandle;
	int most;
	cuDeviceGetAttribute(&most, 97, 0);
	if (attribute != 8 || v < 0 || v > most) return note(kInvalidValue, "function attribute %d = %d", attribute, v);
	f->maxDynamic = v;
	return kOK;
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void* h, int threads, size_t shared) {
	Lock lock(mutex);
	if (!handle<Function>(h)) return kInvalidHandle;
	*n = threads > 1024 ? 0 : threads > 512 || shared > 48 << 10 ? 1 : 2;
	return kOK;
}

struct Attribute {
	unsigned id;
	char pad[4];
	union {
		char bytes[64];
		int value;
		unsigned cluster[3];
	};
};

struct LaunchConfig {
	unsigned grid[3], block[3], shared;
	void* stream;
	Attribute* attributes;
	unsigned numAttributes;
};

static int runKernel(Context* c, const sim::Kernel* k, const sim::Grid& g, const std::vector<unsigned char>& params) {
	counters.kernels++;
	if (options.fail_launch && counters.kernels == options.fail_launch) return note(kLaunchFailed, "launch %ld of %s was made to fail", options.fail_launch, k->name);
	bool fault = false;
	// Parameters are read where the hardware would have them, aligned.
	alignas(64) unsigned char p[4096];
	memcpy(p, params.data(), params.size());
	const char* wrong = sim::run(k, g, p, seed(), &fault);
	if (!wrong) {
		for (auto& r : ranges)
			for (unsigned char* q = r.second.data + r.second.size; q < r.second.map + r.second.mapped - kPage; q++)
				if (*q != 0xff) return note(kIllegalAddress, "%s wrote %s", k->name, sim::describe(q));
		return kOK;
	}
	(void)c;
	return note(fault ? kIllegalAddress : kLaunchFailed, "%s: %s", k->name, wrong);
}

API cuLaunchKernelEx(const LaunchConfig* l, void* h, void** params, void** extra) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(l->stream, &s)) return e;
	Function* f = handle<Function>(h);
	if (!f || f->module->context != s->context) return note(kInvalidHandle, "launch of a function of another context, or of none");
	sim::Grid g = {(int)l->grid[0], (int)l->grid[1], (int)l->grid[2], (int)l->block[0], l->shared, false};
	for (int i = 0; i < 3; i++)
		if (l->grid[i] == 0 || l->grid[i] > (i ? 65535u : 0x7fffffffu)) return note(kInvalidValue, "%s: a grid of %ux%ux%u blocks", f->name.c_str(), l->grid[0], l->grid[1], l->grid[2]);
	if (l->block[1] != 1 || l->block[2] != 1 || g.threads < 1 || g.threads > 1024 || g.threads % 32)
		return note(kInvalidValue, "%s: a block of %ux%ux%u threads", f->name.c_str(), l->block[0], l->block[1], l->block[2]);
	if ((int)l->shared > f->maxDynamic) return note(kInvalidValue, "%s: %u bytes of dynamic shared memory, allowed are %d", f->name.c_str(), l->shared, f->maxDynamic);
	if (params || !extra || extra[0] != (void*)1 || extra[2] != (void*)2 || extra[4]) return note(kNotSupported, "parameters that are not one struct");
	size_t size = *(size_t*)extra[3];
	if (size != f->kernel->params) return note(kInvalidValue, "%s: %zu bytes of parameters, the kernel has %zu", f->name.c_str(), size, f->kernel->params);
	if (size > 4096) return note(kInvalidValue, "%s: over 4 KB of parameters", f->name.c_str());
	for (unsigned i = 0; i < l->numAttributes; i++) {
		const Attribute& a = l->attributes[i];
		switch (a.id) {
		case 2: g.cooperative = a.value != 0; break;
		case 6: break; // programmatic: the launch may begin early, which here it never does
		case 4:
			if (options.capability < 90) return note(kNotSupported, "clusters");
			break;
		default: return note(kNotSupported, "launch attribute %u", a.id);
		}
		if (a.id == 6 && options.capability < 90) return note(kNotSupported, "programmatic dependent launch");
		if (a.id == 6 && f->module->arch < 90) return note(kNotSupported, "%s: programmatic dependent launch of code that does not wait", f->name.c_str());
	}
	int64_t blocks = (int64_t)g.x * g.y * g.z;
	if (g.cooperative) {
		int most;
		cuOccupancyMaxActiveBlocksPerMultiprocessor(&most, h, g.threads, g.shared);
		if (blocks > (int64_t)most * options.sms) return note(kCooperativeTooLarge, "%s: %ld blocks", f->name.c_str(), (long)blocks);
	}
	if (!s->capture) counters.launches++;
	std::vector<unsigned char> copy((unsigned char*)extra[1], (unsigned char*)extra[1] + size);
	Context* c = s->context;
	const sim::Kernel* k = f->kernel;
	return put(s, {Op::kKernel, k, [=] { return runKernel(c, k, g, copy); }});
}

API cuStreamBeginCapture_v2(void* h, int) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(h, &s)) return e;
	if (s->capture) return kInvalidValue;
	s->capture = std::make_shared<Graph>();
	s->origin = true;
	return kOK;
}

API cuStreamEndCapture(void* h, Graph** out) {
	Lock lock(mutex);
	*out = nullptr;
	Stream* s = handle<Stream>(h);
	if (!s || !s->capture || !s->origin) return kInvalidValue;
	auto g = s->capture;
	for (auto& c : contexts)
		for (Stream* o : c.second->streams)
			if (o->capture == g) o->capture = nullptr, o->origin = false;
	if (g->invalid) return kCaptureInvalidated;
	*out = new Graph(*g);
	handles.insert(*out);
	counters.graphs++;
	return kOK;
}

API cuGraphDestroy(void* h) {
	Lock lock(mutex);
	Graph* g = handle<Graph>(h);
	if (!g) return kInvalidHandle;
	handles.erase(g);
	delete g;
	counters.graphsFreed++;
	return kOK;
}

API cuGraphInstantiateWithFlags(GraphExec** out, void* h, unsigned long long) {
	Lock lock(mutex);
	if (int e = entered()) return e;
	Graph* g = handle<Graph>(h);
	if (!g) return kInvalidHandle;
	if (options.fail_graphs) return kOutOfMemory;
	*out = new GraphExec{now, *g};
	handles.insert(*out);
	counters.graphs++;
	return kOK;
}

API cuGraphExecDestroy(void* h) {
	Lock lock(mutex);
	GraphExec* g = handle<GraphExec>(h);
	if (!g) return kInvalidHandle;
	handles.erase(g);
	delete g;
	counters.graphsFreed++;
	return kOK;
}

API cuGraphLaunch(void* h, void* stream) {
	Lock lock(mutex);
	Stream* s;
	if (int e = ready(stream, &s)) return e;
	GraphExec* g = handle<GraphExec>(h);
	if (!g || g->context != s->context) return kInvalidHandle;
	counters.graphLaunches++;
	for (auto& op : g->graph.ops)
		if (int e = put(s, op)) return e;
	return kOK;
}

API cuGraphExecUpdate_v2(void* exec, void* h, void* info) {
	Lock lock(mutex);
	GraphExec* e = handle<GraphExec>(exec);
	Graph* g = handle<Graph>(h);
	if (!e || !g) return kInvalidHandle;
	bool same = e->graph.ops.size() == g->ops.size();
	for (size_t i = 0; same && i < g->ops.size(); i++) same = e->graph.ops[i].kind == g->ops[i].kind && e->graph.ops[i].kernel == g->ops[i].kernel;
	*(int*)info = same ? 0 : 2;
	if (!same) return kUpdateFailure;
	e->graph = *g;
	return kOK;
}
