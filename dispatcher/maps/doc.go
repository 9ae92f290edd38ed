// Package maps opens, lists, reads and writes the maps of programs that run.
//
// [OfChain] lists the maps of an interface's programs. [Open] and [OpenID] open one.
// [Lookup] and [Map.Update] take Go values that are laid out as in C. [Map.Entries],
// [Map.LookupText], [Map.UpdateText] and [Map.DeleteText] know what the bytes stand for, by
// the type information of the map; package
// [github.com/xdpmux/xdpmux/dispatcher/value] has the values that they return.
//
// All of it takes CAP_SYS_ADMIN, as maps are opened by their id.
package maps
