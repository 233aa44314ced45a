// Package inventory holds the words of certscan as types: target, endpoint,
// view, observation, certificate, verdict, finding, tier.
//
// It does no I/O and knows no other package; every package may import it, so a
// type that crosses a package boundary stands here. Its invariant: a value of
// these types is plain data that survives a trip through JSON unchanged, so an
// observation made elsewhere is the same as one made here. (The one exception
// is [TrustStore], which never travels.)
package inventory
