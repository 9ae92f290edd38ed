package value

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Value is a key or a value of a map that was read. It is of one of this package's types,
// or what another package has made of one. String is how people read it.
type Value interface {
	fmt.Stringer
	json.Marshaler
}

type (
	// Uint64 is an unsigned integer of any size.
	Uint64 uint64

	// Int is a signed integer of any size.
	Int int64

	// Float is a float or a double.
	Float float64

	// Bool is a bool.
	Bool bool

	// Pointer is an address in memory.
	Pointer uint64

	// Text is an array of char that holds a string.
	Text string

	// Raw is bytes that no type explains.
	Raw []byte

	// Address is an IP address, which C calls __be32, in_addr or in6_addr.
	Address netip.Addr

	// Array is a list of values of one type.
	Array []Value

	// Struct is a struct or a union: its members, in C's order.
	Struct []Field

	// Rate is the change of a number per second.
	Rate float64
)

// Enum is a value of an enum. Name is empty if the number has none.
type Enum struct {
	Name   string
	Number int64
}

// Field is a member of a [Struct].
type Field struct {
	Name  string
	Value Value
}

func (v Uint64) String() string  { return strconv.FormatUint(uint64(v), 10) }
func (v Int) String() string     { return strconv.FormatInt(int64(v), 10) }
func (v Float) String() string   { return strconv.FormatFloat(float64(v), 'g', -1, 64) }
func (v Bool) String() string    { return strconv.FormatBool(bool(v)) }
func (v Pointer) String() string { return fmt.Sprintf("%#x", uint64(v)) }
func (v Text) String() string    { return strconv.Quote(string(v)) }

// String is as in "192.0.2.1".
func (v Address) String() string { return netip.Addr(v).String() }

// String is the name, or else the number.
func (v Enum) String() string {
	if v.Name == "" {
		return strconv.FormatInt(v.Number, 10)
	}
	return v.Name
}

// String is the bytes in hexadecimal, as in "0a 00 ff".
func (v Raw) String() string { return fmt.Sprintf("% x", []byte(v)) }

// String is as in "[1, 2]".
func (v Array) String() string {
	parts := make([]string, len(v))
	for i, e := range v {
		parts[i] = e.String()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// String is as in "{packets: 1, bytes: 60}".
func (v Struct) String() string {
	parts := make([]string, len(v))
	for i, f := range v {
		parts[i] = f.Name + ": " + f.Value.String()
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// String is as in "+1066/s".
func (v Rate) String() string { return fmt.Sprintf("%+.0f/s", float64(v)) }

func (v Uint64) MarshalJSON() ([]byte, error)  { return []byte(v.String()), nil }
func (v Int) MarshalJSON() ([]byte, error)     { return []byte(v.String()), nil }
func (v Bool) MarshalJSON() ([]byte, error)    { return []byte(v.String()), nil }
func (v Pointer) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }
func (v Text) MarshalJSON() ([]byte, error)    { return json.Marshal(string(v)) }
func (v Address) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// MarshalJSON writes the name as a string, or else the number.
func (v Enum) MarshalJSON() ([]byte, error) {
	if v.Name == "" {
		return json.Marshal(v.Number)
	}
	return json.Marshal(v.Name)
}

// MarshalJSON writes a number, or a string where JSON has no such number.
func (v Float) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
		return json.Marshal(v.String())
	}
	return json.Marshal(float64(v))
}

// MarshalJSON is that of a Float.
func (v Rate) MarshalJSON() ([]byte, error) { return Float(v).MarshalJSON() }

// MarshalJSON writes a string, as in "0x0a00ff".
func (v Raw) MarshalJSON() ([]byte, error) { return json.Marshal("0x" + hex.EncodeToString(v)) }

// MarshalJSON writes a list.
func (v Array) MarshalJSON() ([]byte, error) { return json.Marshal([]Value(v)) }

// MarshalJSON writes an object, in C's order.
func (v Struct) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		content, err := f.Value.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), content...)
	}
	return append(b, '}'), nil
}

// Sum adds up values of one layout, such as those of all CPUs: numbers, and the numbers in structs
// and arrays. What isn't a number is left out. The sum is nil if nothing is a number. Numbers wrap
// around as they do in C.
func Sum(values []Value) Value {
	return fold(values, func(numbers []Value) Value {
		switch numbers[0].(type) {
		case Uint64:
			return sum[Uint64](numbers)
		case Int:
			return sum[Int](numbers)
		case Float:
			return sum[Float](numbers)
		}
		return nil
	})
}

func sum[N interface {
	Uint64 | Int | Float
	Value
}](numbers []Value) Value {
	var total N
	for _, n := range numbers {
		total += n.(N)
	}
	return total
}

// PerSecond is how much each number changes in a second, from one value to a later one of the same
// layout. It is nil if nothing is a number.
func PerSecond(before, after Value, seconds float64) Value {
	return fold([]Value{before, after}, func(numbers []Value) Value {
		switch a := numbers[0].(type) {
		case Uint64:
			return Rate(float64(int64(numbers[1].(Uint64)-a)) / seconds)
		case Int:
			return Rate(float64(numbers[1].(Int)-a) / seconds)
		case Float:
			return Rate(float64(numbers[1].(Float)-a) / seconds)
		}
		return nil
	})
}

// fold makes one value of several of one layout. scalar makes one of their scalars; where that
// returns nil, there is no value.
func fold(values []Value, scalar func([]Value) Value) Value {
	if len(values) == 0 {
		return nil
	}
	column := make([]Value, len(values))
	switch first := values[0].(type) {
	case Struct:
		var s Struct
		for i, f := range first {
			for j, v := range values {
				column[j] = v.(Struct)[i].Value
			}
			if v := fold(column, scalar); v != nil {
				s = append(s, Field{f.Name, v})
			}
		}
		if s != nil {
			return s
		}
	case Array:
		var a Array
		for i := range first {
			for j, v := range values {
				column[j] = v.(Array)[i]
			}
			if v := fold(column, scalar); v != nil {
				a = append(a, v)
			}
		}
		if a != nil {
			return a
		}
	case Text, Raw: // one layout can be read as either
	default:
		return scalar(values)
	}
	return nil
}
