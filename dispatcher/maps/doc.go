// Package maps opens, lists, reads and writes the maps of programs that run. Keys and
// values are bytes or Go values; package [github.com/xdpmux/xdpmux/dispatcher/value]
// turns them into text and back, by the type information of the map.
package maps
