// What all users of OpenSSL's C interface need: owners, PEM in and out of strings, and its queue of
// errors as text. Any thread: the queue is the thread's own.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace portolan {

struct OpensslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree>;
using X509Ptr = std::unique_ptr<X509, OpensslFree>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree>;

// `pem` outlives it.
inline BioPtr PemReader(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// OpenSSL would ask at the terminal.
inline int NoPassphrase(char*, int, int, void*) { return -1; }

// Null if there is none that can be read without a passphrase; the queue says why.
inline KeyPtr ReadKey(const std::string& pem) {
  ERR_clear_error();
  const BioPtr reader = PemReader(pem);
  return KeyPtr(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
}

// What was written to a memory BIO.
inline std::string TakeText(const BioPtr& bio) {
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(length)};
}

// The reason of the last error; the queue is empty afterwards.
inline std::string TakeOpensslReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown error";
}

}  // namespace portolan
