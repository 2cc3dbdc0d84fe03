//! Length-limited canonical Huffman codes (RFC 1951, 3.2.7).
