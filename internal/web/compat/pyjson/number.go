package pyjson

import "strconv"

func (s *scanner) number() (any, error) {
	begin := s.at
	s.take('-')
	switch whole := s.digits(); {
	case whole == 0:
		return nil, s.fail("Expecting value", begin)
	case s.text[s.at-whole] == '0': // 01 is 0 and something behind it
		s.at -= whole - 1
	}
	float := s.fraction()
	float = s.exponent() || float
	text := string(s.text[begin:s.at])
	if float {
		f, _ := strconv.ParseFloat(text, 64) // out of range: infinite, as in Python
		return f, nil
	}
	if s.Digits > 0 && len(text) > s.Digits {
		return nil, ErrDigits
	}
	if text == "-0" {
		text = "0"
	}
	return Int(text), nil
}

func (s *scanner) digits() int {
	begin := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - begin
}

// fraction reads a point and digits; without digits nothing is read.
func (s *scanner) fraction() bool {
	begin := s.at
	if s.take('.') && s.digits() > 0 {
		return true
	}
	s.at = begin
	return false
}

func (s *scanner) exponent() bool {
	begin := s.at
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if s.digits() > 0 {
			return true
		}
	}
	s.at = begin
	return false
}
