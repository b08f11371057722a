#include "textflag.h"

// func addAVX2(d, s *float32, n int)
// Four vectors of eight per turn hide the latency of the additions; neither
// side need be aligned.
TEXT ·addAVX2(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $5, CX
	JZ   end

turn:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VADDPS  (SI), Y0, Y0
	VADDPS  32(SI), Y1, Y1
	VADDPS  64(SI), Y2, Y2
	VADDPS  96(SI), Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ    $128, DI
	ADDQ    $128, SI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET

// func widenBF16AVX2(d *float32, s *uint16, n int)
TEXT ·widenBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   end

turn:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPSLLD  $16, Y0, Y0
	VPSLLD  $16, Y1, Y1
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	ADDQ    $32, SI
	ADDQ    $64, DI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET

// func narrowBF16AVX2(d *uint16, s *float32, n int)
// Adds just less than half of the last place, or half if that place is odd; NaN
// takes another way, since its bits could overflow.
TEXT ·narrowBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	MOVL $0x7fff, AX
	VMOVD AX, X8
	VPBROADCASTD X8, Y8
	MOVL $1, AX
	VMOVD AX, X9
	VPBROADCASTD X9, Y9
	MOVL $0x40, AX
	VMOVD AX, X10
	VPBROADCASTD X10, Y10
	SHRQ $4, CX
	JZ   end

turn:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPSRLD  $16, Y0, Y2
	VPSRLD  $16, Y1, Y3
	VPAND   Y9, Y2, Y4
	VPAND   Y9, Y3, Y5
	VPADDD  Y8, Y4, Y4
	VPADDD  Y8, Y5, Y5
	VPADDD  Y0, Y4, Y4
	VPADDD  Y1, Y5, Y5
	VPSRLD  $16, Y4, Y4
	VPSRLD  $16, Y5, Y5
	VPOR    Y10, Y2, Y2
	VPOR    Y10, Y3, Y3
	VCMPPS  $3, Y0, Y0, Y0 // unordered with itself: NaN
	VCMPPS  $3, Y1, Y1, Y1
	VBLENDVPS Y0, Y2, Y4, Y4
	VBLENDVPS Y1, Y3, Y5, Y5
	VPACKUSDW Y5, Y4, Y4   // by halves of 128 bits,
	VPERMQ  $0xD8, Y4, Y4  // which this puts in order
	VMOVDQU Y4, (DI)
	ADDQ    $64, SI
	ADDQ    $32, DI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET

// func addBF16AVX2(d *float32, s *uint16, n int)
// The numbers that came are the second operand of the addition, as in addAVX2: of two
// NaNs the sum keeps the first.
TEXT ·addBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $5, CX
	JZ   end

turn:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPMOVZXWD 32(SI), Y2
	VPMOVZXWD 48(SI), Y3
	VPSLLD  $16, Y0, Y0
	VPSLLD  $16, Y1, Y1
	VPSLLD  $16, Y2, Y2
	VPSLLD  $16, Y3, Y3
	VMOVUPS (DI), Y4
	VMOVUPS 32(DI), Y5
	VMOVUPS 64(DI), Y6
	VMOVUPS 96(DI), Y7
	VADDPS  Y0, Y4, Y4
	VADDPS  Y1, Y5, Y5
	VADDPS  Y2, Y6, Y6
	VADDPS  Y3, Y7, Y7
	VMOVUPS Y4, (DI)
	VMOVUPS Y5, 32(DI)
	VMOVUPS Y6, 64(DI)
	VMOVUPS Y7, 96(DI)
	ADDQ    $64, SI
	ADDQ    $128, DI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET

// func widenF16C(d *float32, s *uint16, n int)
TEXT ·widenF16C(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   end

turn:
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $32, SI
	ADDQ    $64, DI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET

// func narrowF16C(d *uint16, s *float32, n int)
TEXT ·narrowF16C(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), DI
	MOVQ s+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   end

turn:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VCVTPS2PH $0, Y0, (DI) // 0: to nearest, ties to even
	VCVTPS2PH $0, Y1, 16(DI)
	ADDQ    $64, SI
	ADDQ    $32, DI
	DECQ    CX
	JNZ     turn

end:
	VZEROUPPER
	RET
