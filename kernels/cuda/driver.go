package cuda

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

// libraryVariable names the environment variable with the path of the driver's library.
const libraryVariable = "LLAMA31_CUDA_LIBRARY"

// minVersion is the oldest CUDA version of a driver that has every symbol below, in the driver's own notation. PTX needs a newer
// one, see ptxVersion.
const (
	minVersion = 12000
	ptxVersion = 12040 // of NVRTC, which writes its own PTX version into what it makes
)

// driver is the CUDA driver's library with every symbol that we use.
type driver struct {
	path    string
	version int // 12040 for 12.4
	symbols
}

// symbols are addresses of functions. Results are CUresult, 0 for success; CUdevice is an int, CUdeviceptr 64 bits, other CU types
// are pointers.
type symbols struct {
	init, driverGetVersion, getErrorName, getErrorString                               uintptr
	deviceGetCount, deviceGet, deviceGetName, deviceGetAttribute, deviceTotalMem       uintptr
	deviceCanAccessPeer                                                                uintptr
	primaryCtxRetain, primaryCtxRelease, ctxSetCurrent, ctxEnablePeer                  uintptr
	memGetInfo, memAlloc, memFree, memHostAlloc, memFreeHost                           uintptr
	memcpyHtoDAsync, memcpyDtoHAsync, memcpyDtoDAsync, memcpyPeerAsync                 uintptr
	memsetD8Async, memsetD32Async                                                      uintptr
	streamCreate, streamDestroy, streamSynchronize, streamWaitEvent                    uintptr
	eventCreate, eventDestroy, eventRecord, eventSynchronize, eventQuery, eventElapsed uintptr
	moduleLoadDataEx, moduleUnload, moduleGetFunction                                  uintptr
	funcGetAttribute, funcSetAttribute, occupancy, launchKernelEx                      uintptr
	streamBeginCapture, streamEndCapture                                               uintptr
	graphInstantiate, graphLaunch, graphExecUpdate, graphExecDestroy, graphDestroy     uintptr
}

// symbol is a name in the library and where its address goes.
type symbol struct {
	name    string
	address *uintptr
}

func (s *symbols) table() []symbol {
	return []symbol{
		{"cuInit", &s.init},                                           // (unsigned flags)
		{"cuDriverGetVersion", &s.driverGetVersion},                   // (int* version)
		{"cuGetErrorName", &s.getErrorName},                           // (CUresult, const char** name)
		{"cuGetErrorString", &s.getErrorString},                       // (CUresult, const char** text)
		{"cuDeviceGetCount", &s.deviceGetCount},                       // (int* count)
		{"cuDeviceGet", &s.deviceGet},                                 // (CUdevice*, int ordinal)
		{"cuDeviceGetName", &s.deviceGetName},                         // (char* name, int size, CUdevice)
		{"cuDeviceGetAttribute", &s.deviceGetAttribute},               // (int* value, CUdevice_attribute, CUdevice)
		{"cuDeviceTotalMem_v2", &s.deviceTotalMem},                    // (size_t* bytes, CUdevice)
		{"cuDeviceCanAccessPeer", &s.deviceCanAccessPeer},             // (int* can, CUdevice, CUdevice peer)
		{"cuDevicePrimaryCtxRetain", &s.primaryCtxRetain},             // (CUcontext*, CUdevice)
		{"cuDevicePrimaryCtxRelease_v2", &s.primaryCtxRelease},        // (CUdevice)
		{"cuCtxSetCurrent", &s.ctxSetCurrent},                         // (CUcontext)
		{"cuCtxEnablePeerAccess", &s.ctxEnablePeer},                   // (CUcontext peer, unsigned flags)
		{"cuMemGetInfo_v2", &s.memGetInfo},                            // (size_t* free, size_t* total)
		{"cuMemAlloc_v2", &s.memAlloc},                                // (CUdeviceptr*, size_t bytes)
		{"cuMemFree_v2", &s.memFree},                                  // (CUdeviceptr)
		{"cuMemHostAlloc", &s.memHostAlloc},                           // (void**, size_t bytes, unsigned flags)
		{"cuMemFreeHost", &s.memFreeHost},                             // (void*)
		{"cuMemcpyHtoDAsync_v2", &s.memcpyHtoDAsync},                  // (CUdeviceptr, const void*, size_t, CUstream)
		{"cuMemcpyDtoHAsync_v2", &s.memcpyDtoHAsync},                  // (void*, CUdeviceptr, size_t, CUstream)
		{"cuMemcpyDtoDAsync_v2", &s.memcpyDtoDAsync},                  // (CUdeviceptr, CUdeviceptr, size_t, CUstream)
		{"cuMemcpyPeerAsync", &s.memcpyPeerAsync},                     // (CUdeviceptr, CUcontext, CUdeviceptr, CUcontext, size_t, CUstream)
		{"cuMemsetD8Async", &s.memsetD8Async},                         // (CUdeviceptr, unsigned char, size_t, CUstream)
		{"cuMemsetD32Async", &s.memsetD32Async},                       // (CUdeviceptr, unsigned, size_t words, CUstream)
		{"cuStreamCreate", &s.streamCreate},                           // (CUstream*, unsigned flags)
		{"cuStreamDestroy_v2", &s.streamDestroy},                      // (CUstream)
		{"cuStreamSynchronize", &s.streamSynchronize},                 // (CUstream)
		{"cuStreamWaitEvent", &s.streamWaitEvent},                     // (CUstream, CUevent, unsigned flags)
		{"cuEventCreate", &s.eventCreate},                             // (CUevent*, unsigned flags)
		{"cuEventDestroy_v2", &s.eventDestroy},                        // (CUevent)
		{"cuEventRecord", &s.eventRecord},                             // (CUevent, CUstream)
		{"cuEventSynchronize", &s.eventSynchronize},                   // (CUevent)
		{"cuEventQuery", &s.eventQuery},                               // (CUevent)
		{"cuEventElapsedTime", &s.eventElapsed},                       // (float* ms, CUevent start, CUevent end)
		{"cuModuleLoadDataEx", &s.moduleLoadDataEx},                   // (CUmodule*, const void*, unsigned n, CUjit_option*, void** values)
		{"cuModuleUnload", &s.moduleUnload},                           // (CUmodule)
		{"cuModuleGetFunction", &s.moduleGetFunction},                 // (CUfunction*, CUmodule, const char* name)
		{"cuFuncGetAttribute", &s.funcGetAttribute},                   // (int*, CUfunction_attribute, CUfunction)
		{"cuFuncSetAttribute", &s.funcSetAttribute},                   // (CUfunction, CUfunction_attribute, int)
		{"cuOccupancyMaxActiveBlocksPerMultiprocessor", &s.occupancy}, // (int*, CUfunction, int threads, size_t shared)
		{"cuLaunchKernelEx", &s.launchKernelEx},                       // (const CUlaunchConfig*, CUfunction, void** params, void** extra)
		{"cuStreamBeginCapture_v2", &s.streamBeginCapture},            // (CUstream, CUstreamCaptureMode)
		{"cuStreamEndCapture", &s.streamEndCapture},                   // (CUstream, CUgraph*)
		{"cuGraphInstantiateWithFlags", &s.graphInstantiate},          // (CUgraphExec*, CUgraph, unsigned long long flags)
		{"cuGraphLaunch", &s.graphLaunch},                             // (CUgraphExec, CUstream)
		{"cuGraphExecUpdate_v2", &s.graphExecUpdate},                  // (CUgraphExec, CUgraph, CUgraphExecUpdateResultInfo*)
		{"cuGraphExecDestroy", &s.graphExecDestroy},                   // (CUgraphExec)
		{"cuGraphDestroy", &s.graphDestroy},                           // (CUgraph)
	}
}

var loaded struct {
	sync.Mutex
	drivers map[string]*driver
}

// loadDriver opens the driver's library, once for each path, and starts it. Its errors wrap kernels.ErrUnavailable and say what
// is missing.
func loadDriver() (*driver, error) {
	loaded.Lock()
	defer loaded.Unlock()
	paths := libraryPaths()
	if path := os.Getenv(libraryVariable); path != "" {
		paths = []string{path}
	}
	for _, path := range paths {
		if d := loaded.drivers[path]; d != nil {
			return d, nil
		}
	}
	d, err := openDriver(paths)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kernels.ErrUnavailable, err)
	}
	if loaded.drivers == nil {
		loaded.drivers = map[string]*driver{}
	}
	loaded.drivers[d.path] = d
	return d, nil
}

func openDriver(paths []string) (*driver, error) {
	d := &driver{}
	var lib library
	var failed []error
	for _, path := range paths {
		l, err := openLibrary(path)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		lib, d.path = l, path
		break
	}
	if d.path == "" {
		return nil, fmt.Errorf("no CUDA driver: %w", errors.Join(failed...))
	}
	// The version first, so that an old driver is told as such and not by the first symbol that it lacks.
	var missing []string
	for _, s := range d.table() {
		p, err := lib.lookup(s.name)
		if err != nil || p == 0 {
			missing = append(missing, s.name)
			continue
		}
		*s.address = p
	}
	if d.driverGetVersion != 0 {
		var v int32
		if r := syscallN(d.driverGetVersion, uintptr(unsafe.Pointer(&v))); r == 0 {
			d.version = int(v)
		}
		if d.version < minVersion {
			return nil, fmt.Errorf("the driver %s is too old: it has CUDA %s, needed is %s", d.path, cudaVersion(d.version), cudaVersion(minVersion))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the driver %s lacks %s", d.path, strings.Join(missing, ", "))
	}
	if err := d.check(syscallN(d.init, 0), "cuInit"); err != nil {
		return nil, err
	}
	return d, nil
}

func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Error is a failure that the CUDA driver reported.
type Error struct {
	Call string // such as "cuMemAlloc", and what it was for
	Code int    // CUresult
	Name string // "CUDA_ERROR_ILLEGAL_ADDRESS"
	Text string // "an illegal memory access was encountered"
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d): %s", e.Call, e.Name, e.Code, e.Text) }

// Results that are treated apart.
const (
	resultInvalidValue   = 1
	resultOutOfMemory    = 2
	resultNoDevice       = 100
	resultPTXVersion     = 222 // CUDA_ERROR_UNSUPPORTED_PTX_VERSION
	resultNotFound       = 500
	resultPeerEnabled    = 704
	resultNotSupported   = 801
	resultNotReady       = 600
	resultNoBinary       = 209 // CUDA_ERROR_NO_BINARY_FOR_GPU
	resultGraphNotUpdate = 910 // CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE
)

// check turns a CUresult into an error.
func (d *driver) check(result uintptr, call string) error {
	code := int(int32(result))
	if code == 0 {
		return nil
	}
	e := &Error{Call: call, Code: code, Name: "CUDA_ERROR", Text: "unknown to the driver"}
	var p uintptr
	if syscallN(d.getErrorName, uintptr(code), uintptr(unsafe.Pointer(&p))) == 0 && p != 0 {
		e.Name = cString(p)
	}
	if syscallN(d.getErrorString, uintptr(code), uintptr(unsafe.Pointer(&p))) == 0 && p != 0 {
		e.Text = cString(p)
	}
	return e
}

// cString copies a C string that the driver owns.
func cString(p uintptr) string {
	// The address comes from the driver, whose constant strings end in a zero byte; it is no Go pointer.
	s := *(**byte)(unsafe.Pointer(&p))
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(s), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(s, n))
}

// properties are what a device is.
type properties struct {
	name         string
	sms          int
	major, minor int   // compute capability
	memory       int64 // bytes in all
	sharedMax    int   // bytes of shared memory that a block can ask for
	l2           int   // bytes of L2 cache
	cooperative  bool
}

// capability is 90 for 9.0.
func (p *properties) capability() int { return 10*p.major + p.minor }

// CUdevice_attribute.
const (
	attrL2               = 38
	attrSMs              = 16
	attrMajor            = 75
	attrMinor            = 76
	attrCooperative      = 95
	attrSharedOptin      = 97
	minCapability        = 80
	hostAllocPortable    = 1
	streamNonBlocking    = 1
	eventDisableTiming   = 2
	captureModeRelaxed   = 2
	funcStaticShared     = 1
	funcLocalBytes       = 3
	funcRegisters        = 4
	funcMaxDynamicShared = 8
)

// count is the number of devices.
func (d *driver) count() (int, error) {
	var n int32
	if err := d.check(syscallN(d.deviceGetCount, uintptr(unsafe.Pointer(&n))), "cuDeviceGetCount"); err != nil {
		return 0, err
	}
	return int(n), nil
}

// device gives the handle and properties of device i.
func (d *driver) device(i int) (uintptr, properties, error) {
	var p properties
	n, err := d.count()
	if err != nil {
		return 0, p, err
	}
	if n == 0 {
		return 0, p, fmt.Errorf("%w: the driver %s finds no device", kernels.ErrUnavailable, d.path)
	}
	if i < 0 || i >= n {
		return 0, p, fmt.Errorf("%w: no device cuda:%d, the driver has %d", kernels.ErrUnavailable, i, n)
	}
	var handle int32
	if err := d.check(syscallN(d.deviceGet, uintptr(unsafe.Pointer(&handle)), uintptr(i)), "cuDeviceGet"); err != nil {
		return 0, p, err
	}
	dev := uintptr(handle)
	name := make([]byte, 256)
	if err := d.check(syscallN(d.deviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)-1), dev), "cuDeviceGetName"); err != nil {
		return 0, p, err
	}
	p.name, _, _ = strings.Cut(string(name), "\x00")
	var memory uint64
	if err := d.check(syscallN(d.deviceTotalMem, uintptr(unsafe.Pointer(&memory)), dev), "cuDeviceTotalMem"); err != nil {
		return 0, p, err
	}
	p.memory = int64(memory)
	var v [6]int32
	for j, attr := range [...]uintptr{attrSMs, attrMajor, attrMinor, attrSharedOptin, attrL2, attrCooperative} {
		if err := d.check(syscallN(d.deviceGetAttribute, uintptr(unsafe.Pointer(&v[j])), attr, dev), "cuDeviceGetAttribute"); err != nil {
			return 0, p, err
		}
	}
	p.sms, p.major, p.minor, p.sharedMax, p.l2, p.cooperative = int(v[0]), int(v[1]), int(v[2]), int(v[3]), int(v[4]), v[5] != 0
	return dev, p, nil
}
