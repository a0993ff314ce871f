package msgpack

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// number appends a number in JSON. It rounds fractions, as encoding/json does,
// but makes neither another integer of one, nor nothing of something.
func (w *writer) number(s string) error {
	if s == "" { // json.Number's zero value is 0
		s = "0"
	}
	if end, err := strictjson.Number([]byte(s), 0); err != nil || end != len(s) {
		return fmt.Errorf("the json.Number %q is none, or beyond float64", s)
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		w.b = appendInt(w.b, i)
		return nil
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		w.b = appendUint(w.b, u)
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	// encoding/json writes floats that are large and whole like integers.
	if !strings.ContainsAny(s, ".eE") && strconv.FormatFloat(f, 'f', -1, 64) != s {
		return fmt.Errorf("the integer %s fits neither int64 nor uint64 (send it as a string, or use json)", s)
	}
	if digits, _, _ := strings.Cut(strings.ToLower(s), "e"); f == 0 && strings.ContainsAny(digits, "123456789") {
		return fmt.Errorf("the number %s is not 0, but too small for a float64 (send it as a string, or use json)", s)
	}
	w.b = appendFloat64(w.b, f)
	return err
}

// setNumber sets v to a number that scan has accepted, if v holds it exactly;
// a float may round it.
func setNumber(v reflect.Value, k kind, n uint64) error {
	floating := k == float32s || k == float64s
	switch {
	case v.CanFloat():
		f := number(k, n)
		if v.OverflowFloat(f) {
			break
		}
		v.SetFloat(f)
		return nil
	case v.Type() == numberType:
		v.SetString(numberText(k, n))
		return nil
	case floating:
		// encoding/json writes a float without a fraction as an integer.
		f := float(k, n)
		if f != math.Trunc(f) || f < math.MinInt64 || f >= math.MaxUint64 {
			break
		}
		if f < 0 {
			return setNumber(v, negative, uint64(int64(f)))
		}
		return setNumber(v, positive, uint64(f))
	case v.CanInt():
		i := int64(n)
		if k == positive && n > math.MaxInt64 || v.OverflowInt(i) {
			break
		}
		v.SetInt(i)
		return nil
	case v.CanUint():
		if k == negative || v.OverflowUint(n) {
			break
		}
		v.SetUint(n)
		return nil
	default:
		return misfit(k, v)
	}
	return fmt.Errorf("%s does not fit %s", numberText(k, n), v.Type())
}

// number returns what encoding/json makes of a number in an any.
func number(k kind, n uint64) float64 {
	switch k {
	case positive:
		return float64(n)
	case negative:
		return float64(int64(n))
	}
	return float(k, n)
}

func numberText(k kind, n uint64) string {
	switch k {
	case positive:
		return strconv.FormatUint(n, 10)
	case negative:
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(float(k, n), 'g', -1, 64)
}
