package jinja

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

func (e *evaluator) binary(n *nodes.BinaryExpression, s *scope) (any, error) {
	left, err := e.eval(n.Left, s)
	if err != nil {
		return nil, err
	}
	op := n.Operator.Token.Type
	if op == tokens.And && !truth(left) || op == tokens.Or && truth(left) {
		return left, nil
	}
	right, err := e.eval(n.Right, s)
	if err != nil {
		return nil, err
	}
	switch op {
	case tokens.And, tokens.Or:
		return right, nil
	case tokens.Equals:
		return e.equal(left, right, 0)
	case tokens.Ne:
		same, err := e.equal(left, right, 0)
		return !same, err
	case tokens.LowerThan:
		return e.less(left, right)
	case tokens.GreaterThan:
		return e.less(right, left)
	case tokens.LowerThanOrEqual:
		more, err := e.less(right, left)
		return !more, err
	case tokens.GreaterThanOrEqual:
		less, err := e.less(left, right)
		return !less, err
	case tokens.Tilde:
		a, err := e.text(left)
		if err != nil {
			return nil, err
		}
		b, err := e.text(right)
		if err != nil {
			return nil, err
		}
		return e.join(a, b)
	}
	return e.arithmetic(op, left, right)
}

func (e *evaluator) join(a, b string) (any, error) {
	if err := e.spend(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

func (e *evaluator) arithmetic(op tokens.Type, left, right any) (any, error) {
	wrong := func() (any, error) {
		return nil, fmt.Errorf("%s %s %s", typeName(left), map[tokens.Type]string{tokens.Addition: "+", tokens.Subtraction: "-", tokens.Multiply: "*",
			tokens.Division: "/", tokens.FloorDivision: "//", tokens.Modulo: "%", tokens.Power: "**"}[op], typeName(right))
	}
	if a, ok := left.(string); ok {
		b, ok := right.(string)
		count, isCount := integer(right)
		switch {
		case op == tokens.Addition && ok:
			return e.join(a, b)
		case op == tokens.Multiply && isCount:
			count = max(count, 0)
			if len(a) > 0 && int64(count) > e.budget/int64(len(a)) {
				return nil, errBudget
			}
			return strings.Repeat(a, count), e.spend(len(a) * count)
		}
		return wrong()
	}
	if a, ok := left.(*array); ok {
		b, ok := right.(*array)
		if op != tokens.Addition || !ok || a.tuple != b.tuple {
			return wrong()
		}
		if err := e.spend(stepCost * (len(a.items) + len(b.items))); err != nil {
			return nil, err
		}
		return &array{items: append(append(make([]any, 0, len(a.items)+len(b.items)), a.items...), b.items...), tuple: a.tuple}, nil
	}
	a, ok := integer(left)
	b, ok2 := integer(right)
	if ok && ok2 {
		switch op {
		case tokens.Addition:
			return a + b, nil
		case tokens.Subtraction:
			return a - b, nil
		case tokens.Multiply:
			return a * b, nil
		case tokens.FloorDivision, tokens.Modulo:
			if b == 0 {
				return nil, errors.New("division by zero")
			}
			q, r := a/b, a%b
			if r != 0 && (r < 0) != (b < 0) {
				q, r = q-1, r+b
			}
			if op == tokens.Modulo {
				return r, nil
			}
			return q, nil
		}
	}
	x, ok := float(left)
	y, ok2 := float(right)
	if !ok || !ok2 {
		return wrong()
	}
	switch op {
	case tokens.Addition:
		return x + y, nil
	case tokens.Subtraction:
		return x - y, nil
	case tokens.Multiply:
		return x * y, nil
	case tokens.Division, tokens.FloorDivision, tokens.Modulo:
		if y == 0 {
			return nil, errors.New("division by zero")
		}
		switch op {
		case tokens.Division:
			return x / y, nil
		case tokens.FloorDivision:
			return math.Floor(x / y), nil
		}
		return x - y*math.Floor(x/y), nil
	case tokens.Power:
		f := math.Pow(x, y)
		if _, ok := left.(float64); !ok && y >= 0 && f == math.Trunc(f) && math.Abs(f) < min(1<<53, math.MaxInt) {
			if _, ok := right.(float64); !ok {
				return int(f), nil
			}
		}
		return f, nil
	}
	return wrong()
}
