// Package hub finds models by name and brings them into a folder of this machine.
//
//	path, err := hub.Path(ctx, "hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M")
//	...
//	m, err := llama.Open(ctx, path, nil)
//
// A name is one of
//
//	model.gguf                          a file of this machine: given back as it is
//	hf:OWNER/REPO:QUANT                 a repository of the hub, and which of its quantisations; without one, a good one is chosen
//	hf:OWNER/REPO@REVISION:QUANT        a branch, tag or commit of it
//	hf:OWNER/REPO/FILE.gguf             one file of it
//	https://HOST/FILE.gguf              a file anywhere; #sha256=HEX states its sum
//	smollm2, llama3.2, llama3.1, …      short for one of the hub's that needs no account; see Aliases
//
// Of a model in several files all are brought. A model that is here is not asked for again, so that programs start without a
// network; removing its folder fetches it anew.
//
// # What is checked
//
// A file has its name only when it is whole, with the SHA-256 that the hub states in its listing or in X-Linked-Etag; until then it
// is NAME.part beside it. What breaks off is continued by a range request, in this process or the next: where the sum is known the
// sum decides whether the parts belong together, else If-Range with the server's strong ETag, and without one it starts again. Names
// that come from a server never leave the cache folder (os.Root). One process downloads into a folder, the others wait for it. The
// token goes to the endpoint itself and to no other host, whatever it redirects to; from https no redirect leads to http. Room on
// the disk is checked before a download, memory before every use.
//
// # Environment
//
//	LLAMA31_CACHE   the folder; by default llama31 in the user's cache folder
//	LLAMA31_MEMORY  "off" leaves out the check of memory
//	HF_TOKEN        for repositories that ask for an account
//	HF_ENDPOINT     another address of the hub, a mirror; https://huggingface.co by default
//	HTTPS_PROXY, HTTP_PROXY, NO_PROXY, as everywhere
//
// Nothing that package llama imports imports this one: a program that opens files carries no HTTP client for it.
package hub
