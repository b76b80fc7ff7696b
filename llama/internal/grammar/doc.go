// Package grammar says which tokens may come next if a text is to match a grammar: a JSON Schema, a grammar in GBNF, or a regular
// expression.
//
// All three become a [Grammar]: rules made of bytes, sequences, alternatives, repetitions and references to rules (expr.go). Rules
// that can never end are taken out, so that an impossible schema is an error before anything is generated, and whatever is left can
// be completed. Each rule is then an automaton over bytes (compile.go), and a text is matched by a set of stacks of rules that are
// under way, each with a place and a count of repetitions, so that x{1,1000000000} takes no more room than x* (machine.go).
//
// A [Machine] is that for one vocabulary. It builds a deterministic automaton of such sets as texts visit them, and remembers each
// set's mask, the bits of the tokens that may come next. To make a mask it walks a trie of all tokens (vocab.go) once for each place
// in a rule, whatever stack is below it, and remembers which tokens that place takes by itself and which leave its rule; only these
// few need the stack (mask.go). The split is that of XGrammar (Dong et al., "XGrammar: flexible and efficient structured generation
// engine for large language models", 2024).
//
// Nothing here knows of models. Tokens that are no text, such as <|eot_id|>, match no byte of any grammar: see [Control].
package grammar
